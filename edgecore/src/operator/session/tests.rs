//! Sessions with a streaming server that says and hears what a test wants.

use super::*;
use tokio::io::DuplexStream;

const SUCCESS: &str = r#"{"metadata":{},"status":"Success"}"#;

/// What the server answers with.
fn frames(all: &[(u32, &str, bool)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (stream, text, last) in all {
        spdy::data(*stream, text.as_bytes(), *last, &mut out);
    }
    out
}

/// What a session came to with a server that says this, and what the command wrote.
async fn ended(input: Input, said: Vec<u8>) -> (anyhow::Result<End>, Vec<Wrote>) {
    let (near, mut far) = tokio::io::duplex(2 * MAX_STATUS);
    let (output, mut written) = mpsc::channel(16);
    far.write_all(&said).await.unwrap();
    far.shutdown().await.unwrap();
    let end = run(near, input, output).await;
    let mut all = Vec::new();
    while let Some(wrote) = written.recv().await {
        all.push(wrote);
    }
    (end, all)
}

/// Reads what the session sent until the server has heard so much of it.
async fn hear(
    far: &mut DuplexStream,
    until: impl Fn(&[(u32, Vec<u8>, bool)]) -> bool,
) -> Vec<(u32, Vec<u8>, bool)> {
    let (mut decoder, mut heard, mut buffer) = (Decoder::default(), Vec::new(), [0; 1024]);
    while !until(&heard) {
        let length = far.read(&mut buffer).await.unwrap();
        for event in decoder.take(&buffer[..length]).unwrap() {
            match event {
                Event::Data { stream, bytes, last } => heard.push((stream, bytes, last)),
                Event::Ping(id) => heard.push((0, id.to_be_bytes().to_vec(), false)),
            }
        }
    }
    heard
}

#[tokio::test]
async fn what_a_command_writes_comes_before_its_end() {
    let status = r#"{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated with non-zero exit code","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
    let said = frames(&[
        (STDOUT, "out", false),
        (STDERR, "err", true),
        (STDOUT, "", true),
        (ERROR, status, false),
        (ERROR, "", true),
    ]);
    let (end, written) = ended(Input::default(), said).await;
    assert_eq!(end.unwrap(), End::Code(7));
    assert_eq!(written, [Wrote::Out(b"out".to_vec()), Wrote::Error(b"err".to_vec())]);
}

#[tokio::test]
async fn every_end_has_its_words() {
    let failure = r#"{"status":"Failure","message":"no such file"}"#;
    for (said, expected) in [
        (frames(&[(ERROR, SUCCESS, true)]), Ok(End::Code(0))),
        (frames(&[(ERROR, failure, true)]), Err("no such file")),
        (frames(&[(ERROR, "plain words\n", true)]), Err("plain words")),
        (frames(&[(STDOUT, "half", false)]), Err("the connection ended before the command did")),
        (Vec::new(), Err("the connection ended before the command did")),
        (vec![0x80, 9, 0, 0, 0, 0, 0, 0], Err("the runtime's streaming server is not understood")),
        (frames(&[(ERROR, &"x".repeat(MAX_STATUS + 1), true)]), Err("a status that is too long")),
    ] {
        let (end, _) = ended(Input::default(), said).await;
        assert_eq!(end.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }
}

#[tokio::test]
async fn input_is_sent_to_its_end_and_pings_come_back() {
    let (near, mut far) = tokio::io::duplex(64);
    let (output, _written) = mpsc::channel(16);
    let (stdin, source) = mpsc::channel(1);
    let session = run(near, Input { stdin: Some(source), sizes: None }, output);
    let other = async {
        let mut ping = Vec::new();
        spdy::ping(2, &mut ping);
        far.write_all(&ping).await.unwrap();
        stdin.send(b"some input".to_vec()).await.unwrap();
        drop(stdin);
        let heard = hear(&mut far, |heard| heard.iter().any(|(_, _, last)| *last)).await;
        let input: Vec<u8> = heard
            .iter()
            .filter(|(stream, _, _)| *stream == STDIN)
            .flat_map(|(_, bytes, _)| bytes.clone())
            .collect();
        assert_eq!(input, b"some input");
        assert!(heard.contains(&(0, vec![0, 0, 0, 2], false)), "{heard:?}");
        far.write_all(&frames(&[(STDOUT, "", true), (STDERR, "", true), (ERROR, SUCCESS, true)]))
            .await
            .unwrap();
    };
    let (end, ()) = tokio::join!(session, other);
    // The server has not closed: every stream has ended, and that is enough.
    assert_eq!(end.unwrap(), End::Code(0));
}

#[tokio::test]
async fn a_terminals_size_is_told_and_it_has_no_standard_error() {
    let (near, mut far) = tokio::io::duplex(1024);
    let (output, _written) = mpsc::channel(16);
    let (resize, sizes) = mpsc::channel(1);
    let session = run(near, Input { stdin: None, sizes: Some(sizes) }, output);
    let other = async {
        resize.send((80, 24)).await.unwrap();
        let heard = hear(&mut far, |heard| !heard.is_empty()).await;
        assert_eq!(heard, [(RESIZE, b"{\"Height\":24,\"Width\":80}\n".to_vec(), false)]);
        far.write_all(&frames(&[(STDOUT, "", true), (ERROR, SUCCESS, true)])).await.unwrap();
    };
    let (end, ()) = tokio::join!(session, other);
    assert_eq!(end.unwrap(), End::Code(0));
}

#[tokio::test]
async fn a_session_to_which_nobody_listens_ends() {
    let (near, mut far) = tokio::io::duplex(1024);
    let (output, written) = mpsc::channel(1);
    drop(written);
    far.write_all(&frames(&[(STDOUT, "y\n", false)])).await.unwrap();
    assert_eq!(run(near, Input::default(), output).await.unwrap(), End::Deaf);
}
