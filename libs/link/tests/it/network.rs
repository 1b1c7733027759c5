//! The kernel's news of the network.

#[tokio::test]
async fn nothing_changed_is_not_news() {
    let mut changes = link::network_changes().unwrap();
    let next = changes.next();
    tokio::pin!(next);
    // Other tests use no interfaces; at worst the machine's network really changed, which is an answer too.
    if let std::task::Poll::Ready(news) = futures::poll!(&mut next) {
        news.unwrap();
    }
}
