//! Frames on a serial line.

use std::time::Duration;

use proptest::prelude::*;

use crate::answer::{Answer, AnswerError};
use crate::crc::crc16;
use crate::exception::Exception;
use crate::heard::{GoOn, Heard};
use crate::request::Request;
use crate::rtu::{Client, Echo, RtuError};
use crate::tests::{hex, holding, slave, unit};

const SILENCE: Duration = Duration::from_millis(4);

/// A client, its request, and the time.
struct Bench {
    client: Client,
    request: Request,
    now: Duration,
}

impl Bench {
    fn asking(request: Request, echo: Echo) -> Self {
        let mut client = Client::new(SILENCE, echo);
        client.ask(unit(17), request.clone());
        Self { client, request, now: Duration::from_secs(1) }
    }

    fn reading() -> Self {
        Self::asking(Request::read(holding(107, 3)), Echo::Unknown)
    }

    fn again(&mut self) {
        self.client.ask(unit(17), self.request.clone());
    }

    /// Bytes come, a millisecond after what came before.
    fn hears(&mut self, bytes: &[u8]) -> Vec<Heard<RtuError>> {
        self.now += Duration::from_millis(1);
        let (now, mut left) = (self.now, bytes);
        std::iter::from_fn(|| self.client.next(&mut left, now)).collect()
    }

    fn silence(&mut self) -> Option<Heard<RtuError>> {
        self.now = self.client.quiet_at()?;
        self.client.quiet(self.now)
    }

    fn answer(&self) -> Vec<u8> {
        frame(17, &slave::respond(&self.request))
    }

    fn echo(&self) -> Vec<u8> {
        frame(17, &self.request.encode())
    }

    fn expected(&self) -> Heard<RtuError> {
        Heard::Answer(slave::answer(&self.request))
    }
}

fn frame(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let body = [&[unit], pdu].concat();
    let checksum = crc16(&body).to_le_bytes();
    [body, checksum.to_vec()].concat()
}

#[test]
fn requests_are_addressed_and_checked() {
    let mut client = Client::new(SILENCE, Echo::Off);
    let request = Request::read(holding(107, 3));
    assert_eq!(client.ask(unit(17), request), hex("11 03 00 6B 00 03 76 87"));
    let most = Request::write_registers(0, vec![7; 123]).unwrap();
    assert_eq!(client.ask(unit(1), most).len(), 255);
}

#[test]
fn an_answer_is_known_with_its_last_byte() {
    let mut bench = Bench::reading();
    let answer = hex("11 03 06 AE 41 56 52 43 40 49 AD");
    let (last, before) = answer.split_last().unwrap();
    for byte in before {
        assert_eq!(bench.hears(&[*byte]), []);
    }
    assert_eq!(bench.hears(&[*last]), [Heard::Answer(Answer::Registers(vec![0xAE41, 0x5652, 0x4340]))]);
    assert_eq!((bench.client.quiet_at(), bench.client.echo()), (None, Echo::Off));
}

#[test]
fn a_refusal_is_an_answer() {
    let mut bench = Bench::reading();
    let refused = Heard::Answer(Answer::Refused(Exception::IllegalDataAddress));
    assert_eq!(bench.hears(&frame(17, &[0x83, 2])), [refused]);
}

#[test]
fn garbage_before_an_answer_is_passed_over() {
    for garbage in
        ["00", "FF FF", "11", "11 03", "11 03 06", "11 83 02", "05 01 FF", "11 03 06 AE 41 56 52 43 40 49 AE"]
    {
        let mut bench = Bench::reading();
        let noise = hex(garbage);
        let heard = bench.hears(&[noise.clone(), bench.answer()].concat());
        assert_eq!(heard, [Heard::Other(RtuError::Noise(noise.len())), bench.expected()], "{garbage}");
        assert_eq!(RtuError::Noise(1).go_on(), GoOn::KeepWaiting);
    }
}

#[test]
fn noise_alone_ends_with_silence_and_the_answer_may_still_come() {
    let mut bench = Bench::reading();
    assert_eq!(bench.hears(&hex("00 11 42")), []);
    assert_eq!(bench.silence(), Some(Heard::Other(RtuError::Noise(3))));
    assert_eq!(bench.silence(), None);
    let answer = bench.answer();
    assert_eq!(bench.hears(&answer), [bench.expected()]);
    assert_eq!(bench.client.echo(), Echo::Unknown, "the noise may have been the echo");
}

#[test]
fn silence_inside_an_answer_ends_it() {
    let mut bench = Bench::reading();
    let answer = bench.answer();
    let (first, second) = answer.split_at(5);
    assert_eq!(bench.hears(first), []);
    let cut = RtuError::Cut { expected: 11, got: 5 };
    // Whether silence is waited for or seen when more comes.
    bench.now += SILENCE;
    assert_eq!(bench.hears(second)[0], Heard::Other(cut));
    assert_eq!(cut.go_on(), GoOn::NextRequest);
    assert_eq!(bench.silence(), Some(Heard::Other(RtuError::Unsolicited(6))));
    bench.again();
    assert_eq!(bench.hears(&answer), [bench.expected()]);
}

#[test]
fn pauses_shorter_than_silence_do_not_part_an_answer() {
    let mut bench = Bench::reading();
    let answer = bench.answer();
    let heard: Vec<_> = answer
        .chunks(3)
        .flat_map(|piece| {
            bench.now += SILENCE / 2;
            bench.hears(piece)
        })
        .collect();
    assert_eq!(heard, [bench.expected()]);
}

#[test]
fn a_damaged_answer_is_told_when_the_line_is_silent() {
    let mut bench = Bench::reading();
    let mut answer = bench.answer();
    answer[4] ^= 0x10;
    assert_eq!(bench.hears(&answer), []);
    let told = bench.silence();
    assert!(
        matches!(&told, Some(Heard::Other(error @ RtuError::Checksum { .. })) if error.go_on() == GoOn::NextRequest),
        "{told:?}"
    );
    bench.again();
    let answer = bench.answer();
    assert_eq!(bench.hears(&answer), [bench.expected()]);
}

#[test]
fn while_another_unit_speaks_the_time_runs_on() {
    let mut bench = Bench::reading();
    let other = frame(18, &slave::respond(&bench.request));
    assert_eq!(bench.hears(&other), []);
    let error = RtuError::WrongUnit { asked: unit(17), got: unit(18) };
    assert_eq!(bench.silence(), Some(Heard::Other(error)));
    assert_eq!(error.go_on(), GoOn::KeepWaiting);
    let answer = bench.answer();
    assert_eq!(bench.hears(&answer), [bench.expected()]);
}

#[test]
fn an_answer_to_something_else_is_named_and_the_time_runs_on() {
    let mut bench = Bench::reading();
    let other = RtuError::Answer(AnswerError::WrongFunction { asked: bench.request.function(), got: 4 });
    assert_eq!(bench.hears(&frame(17, &[4, 2, 0, 1])), []);
    assert_eq!(bench.silence(), Some(Heard::Other(other)));
    assert_eq!(other.go_on(), GoOn::KeepWaiting);
    let answer = bench.answer();
    assert_eq!(bench.hears(&answer), [bench.expected()]);

    // A late confirmation of an earlier write has the very length of the right one.
    let mut bench = Bench::asking(Request::write_register(1, 3), Echo::Off);
    let late = frame(17, &hex("06 00 01 00 02"));
    let heard = bench.hears(&late);
    assert!(
        matches!(heard[..], [Heard::Other(RtuError::Answer(AnswerError::OtherWrite { .. }))]),
        "{heard:?}"
    );
    assert!(matches!(bench.client.gave_up(), RtuError::Answer(AnswerError::OtherWrite { .. })));
    bench.again();
    let answer = bench.answer();
    assert_eq!(bench.hears(&answer), [bench.expected()]);
}

#[test]
fn an_echo_before_the_answer_is_passed_over_and_remembered() {
    let mut bench = Bench::reading();
    let both = [bench.echo(), bench.answer()].concat();
    assert_eq!(bench.hears(&both), [Heard::Other(RtuError::Echo), bench.expected()]);
    assert_eq!((bench.client.echo(), RtuError::Echo.go_on()), (Echo::On, GoOn::KeepWaiting));
    bench.again();
    let echo = bench.echo();
    assert_eq!(bench.hears(&echo), [Heard::Other(RtuError::Echo)]);
    assert_eq!(bench.client.gave_up(), RtuError::OnlyEcho);
    bench.again();
    let answer = bench.answer();
    assert_eq!(bench.hears(&answer), [bench.expected()], "the adapter was exchanged");
    assert_eq!(bench.client.echo(), Echo::Off);
}

#[test]
fn the_echo_of_a_write_is_not_taken_for_success() {
    let write = Request::write_coil(172, true);
    let mut bench = Bench::asking(write.clone(), Echo::On);
    let echo = bench.echo();
    assert_eq!(bench.hears(&echo), [Heard::Other(RtuError::Echo)]);
    assert_eq!(bench.client.gave_up(), RtuError::OnlyEcho);
    bench.again();
    assert_eq!(
        bench.hears(&[echo.clone(), echo.clone()].concat()),
        [Heard::Other(RtuError::Echo), Heard::Answer(Answer::Written)]
    );

    let mut bench = Bench::asking(write.clone(), Echo::Off);
    assert_eq!(bench.hears(&echo), [Heard::Answer(Answer::Written)]);

    let mut bench = Bench::asking(write, Echo::Unknown);
    assert_eq!(bench.hears(&echo), []);
    assert_eq!(bench.client.gave_up(), RtuError::EchoOrAnswer);
    bench.again();
    assert_eq!(bench.hears(&echo), []);
    assert_eq!(bench.hears(&echo), [Heard::Answer(Answer::Written)]);
    assert_eq!(bench.client.echo(), Echo::On);
}

#[test]
fn a_read_whose_answer_looks_like_itself_proves_no_echo() {
    // 20 coils from 0x0311 on that are set just so: the answer is the request.
    let request = Request::read(crate::tests::coils(0x0311, 20));
    let mut bench = Bench::asking(request, Echo::Unknown);
    let same = bench.echo();
    assert_eq!(same, frame(17, &hex("01 03 11 00 14")));
    assert_eq!(bench.hears(&same), []);
    assert_eq!(bench.client.gave_up(), RtuError::EchoOrAnswer);
}

#[test]
fn a_line_that_does_not_fall_silent_is_told_once() {
    let mut bench = Bench::reading();
    let heard: Vec<_> = (0..100).flat_map(|_| bench.hears(&[0x55; 100])).collect();
    assert_eq!(heard, [Heard::Other(RtuError::Babble)]);
    assert_eq!(RtuError::Babble.go_on(), GoOn::AfterSilence);
    assert_eq!(bench.silence(), None);
    bench.again();
    let answer = bench.answer();
    assert_eq!(bench.hears(&answer), [bench.expected()]);
}

#[test]
fn nothing_is_no_answer() {
    let mut bench = Bench::reading();
    assert_eq!(bench.client.quiet_at(), None);
    assert_eq!(bench.client.gave_up(), RtuError::NoAnswer);
    assert_eq!(bench.hears(&[1, 2, 3]), []);
    assert_eq!(bench.silence(), Some(Heard::Other(RtuError::Unsolicited(3))));
}

proptest! {
    /// However an answer is cut into pieces, and whatever stands before it in the same burst.
    #[test]
    fn the_answer_is_found(
        noise in prop::collection::vec(any::<u8>(), 0..64),
        echo in any::<bool>(),
        count in 1_u16..=125,
        size in 1_usize..300,
    ) {
        let mut bench = Bench::asking(Request::read(holding(9, count)), Echo::Unknown);
        let echo = if echo { bench.echo() } else { Vec::new() };
        let burst = [noise, echo, bench.answer()].concat();
        let mut heard = Vec::new();
        for piece in burst.chunks(size) {
            // As if all came at once: silence is not what is tested.
            bench.now -= Duration::from_millis(1);
            heard.extend(bench.hears(piece));
        }
        prop_assert_eq!(heard.last(), Some(&bench.expected()));
    }

    /// One flipped bit is never an answer: the checksum finds it.
    #[test]
    fn a_flipped_bit_is_found(bit in 0_usize..88) {
        let mut bench = Bench::reading();
        let mut answer = bench.answer();
        answer[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(bench.hears(&answer), []);
        let told = bench.silence();
        prop_assert!(matches!(told, Some(Heard::Other(_))), "{:?}", told);
    }
}
