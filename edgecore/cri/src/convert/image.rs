//! Images and credentials as CRI wants them.

use edgecore_pods::runtime::PullAuth;

use crate::generated::cri;

/// An image by name or id.
pub(crate) fn spec(image: &str) -> cri::ImageSpec {
    cri::ImageSpec { image: image.to_owned(), user_specified_image: String::new() }
}

/// Credentials.
pub(crate) fn auth(auth: &PullAuth) -> cri::AuthConfig {
    cri::AuthConfig {
        username: auth.username.clone(),
        password: auth.password.0.clone(),
        // Left empty, as upstream's kubelet leaves it: the credential was chosen for this image, and containerd would parse
        // the address as a URL and refuse every plain host ("first path segment in URL cannot contain colon").
        server_address: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit::Masked;

    #[test]
    fn a_credential_names_no_server_that_containerd_would_take_for_a_url() {
        let sent = auth(&PullAuth {
            username: "user".to_owned(),
            password: Masked("pass".to_owned()),
            server: "registry.example:5000".to_owned(),
        });
        assert_eq!((sent.username.as_str(), sent.password.as_str()), ("user", "pass"));
        assert_eq!(sent.server_address, "");
    }
}
