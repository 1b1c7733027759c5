//! Frames over TCP.

use proptest::prelude::*;

use crate::answer::{Answer, AnswerError};
use crate::exception::Exception;
use crate::heard::{GoOn, Heard};
use crate::request::Request;
use crate::tcp::{Client, TcpError};
use crate::tests::{hex, holding, slave};
use crate::unit::Unit;

fn unit(number: i64) -> Unit {
    Unit::tcp(number).unwrap()
}

/// Everything that a client makes of bytes.
fn all(client: &mut Client, mut bytes: &[u8]) -> Vec<Heard<TcpError>> {
    std::iter::from_fn(|| client.next(&mut bytes)).collect()
}

fn frame(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap();
    [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[unit], pdu].concat()
}

fn asking() -> (Client, Request) {
    let mut client = Client::default();
    let request = Request::read(holding(107, 1));
    client.ask(unit(17), request.clone());
    (client, request)
}

#[test]
fn requests_are_numbered_and_addressed() {
    let mut client = Client::default();
    let request = Request::read(holding(107, 3));
    assert_eq!(client.ask(unit(17), request.clone()), hex("00 01 00 00 00 06 11 03 00 6B 00 03"));
    assert_eq!(client.ask(unit(255), request), hex("00 02 00 00 00 06 FF 03 00 6B 00 03"));
    let most = Request::write_registers(0, vec![7; 123]).unwrap();
    let frame = client.ask(unit(1), most);
    assert_eq!((frame.len(), &frame[..7]), (259, &hex("00 03 00 00 00 FD 01")[..]));
}

#[test]
fn an_answer_comes_in_pieces_of_any_size() {
    let request = Request::read(holding(0, 125));
    let answered = frame(1, 17, &slave::respond(&request));
    for size in [1, 2, 3, 7, 64, 300] {
        let mut client = Client::default();
        client.ask(unit(17), request.clone());
        let heard: Vec<_> = answered.chunks(size).flat_map(|piece| all(&mut client, piece)).collect();
        assert_eq!(heard, [Heard::Answer(slave::answer(&request))], "pieces of {size}");
    }
}

#[test]
fn a_refusal_is_an_answer() {
    let (mut client, _) = asking();
    let refused = Answer::Refused(Exception::IllegalDataAddress);
    assert_eq!(all(&mut client, &frame(1, 17, &[0x83, 2])), [Heard::Answer(refused)]);
}

#[test]
fn a_late_answer_is_passed_over_and_the_right_one_taken() {
    let (mut client, request) = asking();
    assert_eq!(client.gave_up(), TcpError::NoAnswer);
    client.ask(unit(17), request.clone());
    let late = frame(1, 17, &slave::respond(&request));
    let right = frame(2, 17, &slave::respond(&request));
    let error = TcpError::WrongTransaction { asked: 2, got: 1 };
    assert_eq!(error.go_on(), GoOn::KeepWaiting);
    assert_eq!(
        all(&mut client, &[late, right].concat()),
        [Heard::Other(error), Heard::Answer(slave::answer(&request))]
    );
}

#[test]
fn what_nobody_asked_for_is_named() {
    let (mut client, request) = asking();
    let answer = frame(1, 17, &slave::respond(&request));
    let twice = all(&mut client, &[answer.clone(), answer].concat());
    let error = TcpError::Unsolicited(1);
    assert_eq!(twice, [Heard::Answer(slave::answer(&request)), Heard::Other(error)]);
    assert_eq!(error.go_on(), GoOn::KeepWaiting);
}

#[test]
fn another_unit_or_function_ends_the_request_and_not_the_connection() {
    let (mut client, request) = asking();
    let error = TcpError::WrongUnit { asked: unit(17), got: unit(18) };
    assert_eq!(all(&mut client, &frame(1, 18, &slave::respond(&request))), [Heard::Other(error)]);
    assert_eq!(error.go_on(), GoOn::NextRequest);

    client.ask(unit(17), request.clone());
    let error = TcpError::Answer(AnswerError::WrongFunction { asked: request.function(), got: 4 });
    assert_eq!(all(&mut client, &frame(2, 17, &[4, 2, 0, 0])), [Heard::Other(error)]);
    assert_eq!(error.go_on(), GoOn::NextRequest);

    client.ask(unit(17), request.clone());
    let answer = frame(3, 17, &slave::respond(&request));
    assert_eq!(all(&mut client, &answer), [Heard::Answer(slave::answer(&request))]);
}

#[test]
fn a_stream_out_of_step_needs_another_connection() {
    for (bytes, error) in [
        ("00 01 00 01 00 05 11", TcpError::NotModbus(1)),
        ("48 54 54 50 2F 31 2E", TcpError::NotModbus(0x5450)),
        ("00 01 00 00 00 01 11", TcpError::ImpossibleLength(1)),
        ("00 01 00 00 00 FF 11", TcpError::ImpossibleLength(255)),
        ("00 01 00 00 FF FF 11", TcpError::ImpossibleLength(65535)),
    ] {
        let (mut client, request) = asking();
        let good = frame(1, 17, &slave::respond(&request));
        assert_eq!(all(&mut client, &[hex(bytes), good].concat()), [Heard::Other(error)]);
        assert_eq!(error.go_on(), GoOn::Reconnect);
    }
}

proptest! {
    #[test]
    fn any_cut_and_any_frames_around_leave_the_answer(
        before in prop::collection::vec((2_u16.., any::<u8>(), prop::collection::vec(any::<u8>(), 1..253)), 0..5),
        cuts in prop::collection::vec(1_usize..40, 1..50),
        count in 1_u16..=125,
    ) {
        let mut client = Client::default();
        let request = Request::read(holding(3, count));
        client.ask(unit(17), request.clone());
        let mut stream: Vec<u8> =
            before.iter().flat_map(|(transaction, from, pdu)| frame(*transaction, *from, pdu)).collect();
        stream.extend(frame(1, 17, &slave::respond(&request)));
        let mut heard = Vec::new();
        let (mut left, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
        while !left.is_empty() {
            let (piece, rest) = left.split_at((*cuts.next().unwrap()).min(left.len()));
            heard.extend(all(&mut client, piece));
            left = rest;
        }
        prop_assert_eq!(heard.len(), before.len() + 1);
        prop_assert_eq!(heard.last(), Some(&Heard::Answer(slave::answer(&request))));
    }
}
