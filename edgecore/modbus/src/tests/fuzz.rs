//! Any bytes at any time: nothing panics, nothing loops, nothing grows.

use std::time::Duration;

use proptest::prelude::*;

use crate::heard::{GoOn, Heard};
use crate::request::Request;
use crate::span::{Span, Table};
use crate::tests::slave;
use crate::unit::Unit;
use crate::{rtu, tcp};

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (0_usize..4, any::<u16>(), 1_u16..=125).prop_map(|(table, first, count)| {
            let first = first.min(u16::MAX - count);
            Request::read(Span::new(Table::ALL[table], first, count).unwrap())
        }),
        (any::<u16>(), any::<bool>()).prop_map(|(address, on)| Request::write_coil(address, on)),
        (any::<u16>(), any::<u16>()).prop_map(|(address, value)| Request::write_register(address, value)),
        prop::collection::vec(any::<bool>(), 1..200).prop_map(|on| Request::write_coils(7, &on).unwrap()),
        prop::collection::vec(any::<u16>(), 1..123).prop_map(|all| Request::write_registers(7, all).unwrap()),
    ]
}

/// Something that happens to a client.
#[derive(Debug, Clone)]
enum Event {
    Ask(u8, Request),
    /// Bytes, some of which look like the start of frames.
    Bytes(Vec<u8>),
    /// What the unit would say, in so far as these bits are left.
    Answer(u16),
    Pause(u16),
    GiveUp,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1_u8..4, request()).prop_map(|(unit, request)| Event::Ask(unit, request)),
        prop::collection::vec(prop_oneof![0_u8..7, Just(16), Just(0x83), any::<u8>()], 0..600)
            .prop_map(Event::Bytes),
        prop_oneof![Just(u16::MAX), any::<u16>()].prop_map(Event::Answer),
        (0_u16..10_000).prop_map(Event::Pause),
        Just(Event::GiveUp),
    ]
}

/// The answer with a bit flipped, unless `bits` says that it is whole.
fn spoil(mut frame: Vec<u8>, bits: u16) -> Vec<u8> {
    let place = usize::from(bits) % (8 * frame.len());
    if bits != u16::MAX {
        frame[place / 8] ^= 1 << (place % 8);
    }
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_pdu_is_an_answer_or_an_error(
        request in request(),
        pdu in prop::collection::vec(any::<u8>(), 0..300),
        follow in any::<bool>(),
    ) {
        let code = request.function().code();
        let pdu = if follow { [vec![code], pdu].concat() } else { pdu };
        let _ = request.answer(&pdu);
        prop_assert_eq!(request.answer(&slave::respond(&request)), Ok(slave::answer(&request)));
    }

    #[test]
    fn a_tcp_client_survives_anything(events in prop::collection::vec(event(), 0..20)) {
        let mut client = tcp::Client::default();
        let mut last = (Unit::from_wire(1), Request::write_register(0, 0), 0_u16);
        for event in events {
            let bytes = match event {
                Event::Ask(unit, request) => {
                    let sent = client.ask(Unit::from_wire(unit), request.clone());
                    prop_assert!(sent.len() <= 260);
                    last = (Unit::from_wire(unit), request, u16::from_be_bytes([sent[0], sent[1]]));
                    continue;
                }
                Event::Answer(bits) => {
                    let pdu = slave::respond(&last.1);
                    let length = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
                    let head = [&last.2.to_be_bytes()[..], &[0, 0], &length, &[last.0.number()]].concat();
                    spoil([head, pdu].concat(), bits)
                }
                Event::Bytes(bytes) => bytes,
                Event::GiveUp => { client.gave_up(); continue }
                Event::Pause(_) => continue,
            };
            let mut left = bytes.as_slice();
            let mut heard = 0;
            while let Some(one) = client.next(&mut left) {
                heard += 1;
                prop_assert!(heard <= bytes.len() + 1);
                if matches!(one, Heard::Other(error) if error.go_on() == GoOn::Reconnect) {
                    prop_assert_eq!(client.next(&mut left), None);
                    client = tcp::Client::default();
                }
            }
            prop_assert!(left.is_empty());
        }
        let held = format!("{client:?}");
        prop_assert!(held.len() < 8192, "{}", held.len());
    }

    #[test]
    fn a_serial_client_survives_anything(
        events in prop::collection::vec(event(), 0..20),
        echo in prop_oneof![Just(rtu::Echo::Unknown), Just(rtu::Echo::On), Just(rtu::Echo::Off)],
    ) {
        let mut client = rtu::Client::new(Duration::from_micros(1750), echo);
        let mut last = (1, Request::write_register(0, 0));
        let mut now = Duration::ZERO;
        for event in events {
            let bytes = match event {
                Event::Ask(unit, request) => {
                    prop_assert!(client.ask(Unit::from_wire(unit), request.clone()).len() <= 256);
                    last = (unit, request);
                    continue;
                }
                Event::Answer(bits) => {
                    let body = [vec![last.0], slave::respond(&last.1)].concat();
                    let checksum = crate::crc::crc16(&body).to_le_bytes().to_vec();
                    spoil([body, checksum].concat(), bits)
                }
                Event::Bytes(bytes) => bytes,
                Event::GiveUp => { client.gave_up(); continue }
                Event::Pause(micros) => {
                    now += Duration::from_micros(micros.into());
                    if let Some(at) = client.quiet_at().filter(|at| *at <= now) {
                        client.quiet(now);
                        prop_assert!(client.quiet_at().is_none(), "silent since {at:?}");
                    }
                    continue;
                }
            };
            let mut left = bytes.as_slice();
            let mut heard = 0;
            while client.next(&mut left, now).is_some() {
                heard += 1;
                prop_assert!(heard <= bytes.len() + 513);
            }
            prop_assert!(left.is_empty());
        }
        let held = format!("{client:?}");
        prop_assert!(held.len() < 16384, "{}", held.len());
    }
}
