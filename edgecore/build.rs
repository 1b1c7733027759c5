//! Puts the time of the build into the binary: no certificate is checked against a clock that is earlier.

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    #[expect(
        clippy::disallowed_methods,
        reason = "a build has no kit::Clock, and a reproducible one names its time"
    )]
    let (said, now) = (std::env::var("SOURCE_DATE_EPOCH").ok(), std::time::SystemTime::now());
    let now = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = said.and_then(|said| said.parse::<u64>().ok()).unwrap_or(now);
    println!("cargo::rustc-env=SKERRY_BUILT={seconds}");
}
