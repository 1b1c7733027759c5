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
        server_address: auth.server.clone(),
    }
}
