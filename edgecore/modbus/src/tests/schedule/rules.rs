//! Each rule of the schedule by itself.

use crate::answer::Answer;
use crate::exception::Exception;
use crate::format::{Format, Kind, Patch, Single, Writing};
use crate::order::Order;
use crate::raw::Raw;
use crate::request::Request;
use crate::schedule::{
    Change, Failure, Finished, Line, LineConfig, LineError, Next, ReadId, TURNS_PER_PROBE, WRITES_IN_A_ROW,
    WriteId,
};
use crate::span::Table;
use crate::tests::schedule::{Bench, PAUSE, TIMEOUT, line, ms, read, write, written};
use crate::tests::{holding, unit};

#[test]
fn nothing_to_do_is_idle() {
    assert_eq!(line().next(ms(5)), Next::Idle);
    let mut bench = Bench::polling(&[1]);
    bench.line.stop(unit(1), ReadId(1));
    assert_eq!(bench.line.next(ms(5)), Next::Idle);
    assert_eq!(bench.line.answered(Answer::Written, ms(5), 0.0), None, "nothing was sent");
    assert_eq!(bench.line.failed(Failure::NoAnswer, ms(5), 0.0), None);
}

#[test]
fn one_request_at_a_time_with_a_pause_between() {
    let mut bench = Bench::polling(&[1, 2]);
    let request = Request::read(holding(1, 1));
    let until = TIMEOUT;
    assert_eq!(bench.line.next(ms(0)), Next::Send { job: read(1), unit: unit(1), request, until });
    assert_eq!(bench.line.next(ms(1)), Next::WaitUntil(until));
    bench.read_answered();
    assert_eq!(bench.line.next(ms(20)), Next::WaitUntil(ms(20) + PAUSE));
    assert!(matches!(bench.line.next(ms(20) + PAUSE), Next::Send { .. }));
}

#[test]
fn slow_lines_have_time_for_every_byte() {
    let config = LineConfig { timeout: TIMEOUT, per_byte: ms(1), pause: PAUSE, most_writes: 4 };
    let until = |change: Change| {
        let mut line = Line::new(config);
        line.write(unit(1), WriteId(1), change, None).unwrap();
        match line.next(ms(0)) {
            Next::Send { until, .. } => until.saturating_sub(TIMEOUT),
            other @ (Next::Expired { .. } | Next::WaitUntil(_) | Next::Idle) => panic!("{other:?}"),
        }
    };
    assert_eq!(until(Change::Request(Request::read(holding(0, 125)))), ms(8 + 255));
    assert_eq!(until(write(1)), ms(8 + 8));
    let several = Request::write_registers(0, vec![0; 123]).unwrap();
    assert_eq!(until(Change::Request(several)), ms(255 + 8));
    let coils = Request::write_coils(0, &[true; 9]).unwrap();
    assert_eq!(until(Change::Request(coils)), ms(11 + 8));
}

#[test]
fn reads_keep_their_rhythm_and_skip_what_they_missed() {
    let mut bench = Bench::polling(&[1]);
    bench.all_answer(1);
    assert_eq!(bench.line.next(ms(24)), Next::WaitUntil(ms(1000)));
    bench.now = ms(3700);
    assert_eq!(bench.sends(), read(1));
    bench.read_answered();
    assert_eq!(bench.line.next(ms(3724)), Next::WaitUntil(ms(4000)));
    bench.line.poll_now(unit(1), ReadId(1), ms(3800));
    bench.now = ms(3800);
    assert_eq!((bench.sends(), bench.now), (read(1), ms(3800)));
}

#[test]
fn what_has_been_due_longest_is_read_first() {
    let mut bench = Bench::polling(&[1, 2, 3]);
    bench.all_answer(3);
    bench.line.poll(unit(1), ReadId(8), holding(8, 1), ms(100), ms(400));
    bench.line.poll(unit(1), ReadId(9), holding(9, 1), ms(100), ms(300));
    bench.now = ms(1500);
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(bench.sends());
        bench.read_answered();
    }
    assert_eq!(order, [read(9), read(8), read(1), read(2), read(3)]);
}

#[test]
fn writes_go_before_reads_and_in_their_order() {
    let mut bench = Bench::polling(&[1, 2]);
    bench.all_answer(2);
    for (number, id) in [(2, 10), (1, 11), (2, 12)] {
        bench.write(number, id);
    }
    bench.now = ms(1500);
    for id in [10, 11, 12] {
        assert_eq!(bench.sends(), written(id));
        let result = Ok(Answer::Written);
        let unit = unit(if id == 11 { 1 } else { 2 });
        assert_eq!(bench.answered(Answer::Written), Some(Finished { job: written(id), unit, result }));
    }
    assert_eq!(bench.sends(), read(1));
}

#[test]
fn who_writes_all_the_time_does_not_stop_the_reading() {
    let mut bench = Bench::polling(&[1]);
    bench.all_answer(1);
    bench.now = ms(1500);
    for id in 0..50 {
        bench.write(1, id);
    }
    let mut before = 0;
    while bench.sends() != read(1) {
        before += 1;
        bench.answered(Answer::Written);
    }
    assert_eq!(before, WRITES_IN_A_ROW);
}

#[test]
fn a_write_that_failed_is_told_and_not_repeated() {
    let mut bench = Bench::polling(&[1]);
    bench.all_answer(1);
    bench.write(1, 10);
    for (failure, random) in [(Failure::NoAnswer, 0.0), (Failure::Damaged, 0.0), (Failure::LineLost, 0.0)] {
        assert_eq!(bench.sends(), written(10));
        let finished = bench.line.failed(failure, bench.now, random).unwrap();
        assert_eq!((finished.job, finished.result), (written(10), Err(failure)));
        assert_eq!(bench.sends(), read(1));
        bench.read_answered();
        bench.write(1, 10);
    }
    assert_eq!(bench.line.remove(unit(1)), [WriteId(10)]);
}

#[test]
fn a_write_that_waited_too_long_is_handed_back() {
    let mut bench = Bench::polling(&[1]);
    bench.sends();
    bench.unanswered();
    bench.line.write(unit(1), WriteId(10), write(1), Some(ms(900))).unwrap();
    bench.line.write(unit(1), WriteId(11), write(2), Some(ms(700))).unwrap();
    let expired = |id| Next::Expired { write: WriteId(id), unit: unit(1) };
    assert_eq!(bench.line.next(ms(504)), Next::WaitUntil(ms(700)));
    assert_eq!(bench.line.next(ms(700)), expired(11));
    assert_eq!(bench.line.next(ms(700)), Next::WaitUntil(ms(900)));
    assert_eq!(bench.line.next(ms(950)), expired(10));
    assert_eq!(bench.line.next(ms(950)), Next::WaitUntil(ms(1500)));
}

#[test]
fn so_many_writes_wait_and_no_more() {
    let mut line = line();
    for id in 0..64 {
        line.write(unit(1), WriteId(id), write(0), None).unwrap();
    }
    let full = Err(LineError::Full { unit: unit(1), waiting: 64 });
    assert_eq!(line.write(unit(1), WriteId(64), write(0), None), full);
    assert_eq!(line.write(unit(2), WriteId(64), write(0), None), Ok(()));
}

fn bit(number: u8, on: bool) -> Patch {
    let format = Format::new(Table::HoldingRegisters, 40, Kind::Bit(number), Order::Abcd).unwrap();
    match format.write(&Raw::Bool(on), Single::ByItself).unwrap() {
        Writing::Patch(patch) => patch,
        Writing::Cells(request) => panic!("{request:?}"),
    }
}

#[test]
fn a_bit_is_written_over_what_is_there_and_nothing_comes_between() {
    let mut bench = Bench::polling(&[1, 2]);
    bench.all_answer(2);
    bench.now = ms(1500);
    bench.line.write(unit(1), WriteId(10), Change::Patch(bit(4, true)), None).unwrap();
    bench.write(2, 11);
    let send = |bench: &mut Bench| match bench.line.next(bench.now) {
        Next::Send { job, request, .. } => (job, request),
        other @ (Next::Expired { .. } | Next::WaitUntil(_) | Next::Idle) => panic!("{other:?}"),
    };
    assert_eq!(send(&mut bench), (written(10), Request::read(holding(40, 1))));
    assert_eq!(bench.answered(Answer::Registers(vec![0x0101])), None);
    assert_eq!(bench.line.next(bench.now), Next::WaitUntil(bench.now + PAUSE));
    bench.now += PAUSE;
    assert_eq!(send(&mut bench), (written(10), Request::write_register(40, 0x0111)));
    let finished = bench.answered(Answer::Written).unwrap();
    assert_eq!((finished.job, finished.result), (written(10), Ok(Answer::Written)));
    assert_eq!(bench.sends(), written(11));
}

#[test]
fn a_bit_of_a_register_that_cannot_be_read_is_not_written() {
    let refused = Answer::Refused(Exception::IllegalDataAddress);
    let mut bench = Bench::polling(&[1]);
    bench.all_answer(1);
    bench.line.write(unit(1), WriteId(10), Change::Patch(bit(4, true)), None).unwrap();
    assert_eq!(bench.sends(), written(10));
    assert_eq!(bench.answered(refused.clone()).unwrap().result, Ok(refused));
    bench.line.write(unit(1), WriteId(11), Change::Patch(bit(4, true)), None).unwrap();
    assert_eq!(bench.sends(), written(11));
    assert_eq!(bench.unanswered().unwrap().result, Err(Failure::NoAnswer));
    assert_eq!(bench.sends(), read(1));
}

#[test]
fn a_unit_that_does_not_answer_rests_from_a_second_to_a_minute() {
    let mut bench = Bench::polling(&[1]);
    let mut rests = Vec::new();
    for _ in 0..9 {
        bench.sends();
        bench.unanswered();
        let since = bench.now;
        bench.sends();
        rests.push(bench.now.saturating_sub(since).as_secs());
        bench.line.failed(Failure::LineLost, bench.now, 1.0);
        bench.now += PAUSE;
    }
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    bench.sends();
    bench.read_answered();
    let due = bench.now;
    bench.sends();
    assert!(bench.now.saturating_sub(due) <= ms(1000), "it answered: all is as before");
}

#[test]
fn a_gateway_that_misses_a_unit_is_that_unit_silent() {
    let mut bench = Bench::polling(&[1, 2]);
    bench.sends();
    let refused = Answer::Refused(Exception::GatewayTargetFailedToRespond);
    assert_eq!(bench.answered(refused.clone()).unwrap().result, Ok(refused));
    bench.sends();
    bench.read_answered();
    assert_eq!((bench.sends(), bench.now), (read(2), ms(1000)));
    bench.read_answered();
    assert_eq!((bench.sends(), bench.now), (read(1), ms(20) + ms(1000) + PAUSE));
}

#[test]
fn a_refusal_is_an_answer() {
    let mut bench = Bench::polling(&[1]);
    bench.sends();
    bench.answered(Answer::Refused(Exception::IllegalDataAddress));
    assert_eq!((bench.sends(), bench.now), (read(1), ms(1000)));
}

#[test]
fn dead_units_are_tried_one_by_one_among_those_that_live() {
    let mut bench = Bench::polling(&[1, 2, 3, 4, 5, 6]);
    bench.sends();
    bench.read_answered();
    // One has so much to do that the line is never free.
    for id in 100..140 {
        bench.line.poll(unit(1), ReadId(id), holding(0, 1), ms(10), ms(0));
    }
    let mut run = 0;
    let mut runs = Vec::new();
    while runs.len() < 30 {
        let job = bench.sends();
        if (2..=6).any(|id| job == read(id)) {
            bench.unanswered();
            runs.push(run);
            run = 0;
        } else {
            bench.read_answered();
            run += 1;
        }
    }
    assert!(runs.iter().all(|run| *run >= TURNS_PER_PROBE), "{runs:?}");
    assert_eq!(runs.iter().min(), Some(&TURNS_PER_PROBE));
}

#[test]
fn a_read_that_is_never_answered_does_not_keep_a_unit_from_the_others() {
    let mut bench = Bench::polling(&[1]);
    bench.line.poll(unit(1), ReadId(2), holding(2, 1), ms(1000), ms(0));
    let (mut good, mut silent) = (0, 0);
    while bench.now < ms(60_000) {
        if bench.sends() == read(2) {
            silent += 1;
            bench.unanswered();
        } else {
            good += 1;
            bench.read_answered();
        }
    }
    assert!(good >= 40 && (5..=9).contains(&silent), "{good} and {silent}");
}

#[test]
fn when_a_unit_is_back_everything_of_it_is_read_at_once() {
    let mut bench = Bench::polling(&[1]);
    bench.line.poll(unit(1), ReadId(2), holding(2, 1), ms(300_000), ms(0));
    for _ in 0..12 {
        bench.sends();
        bench.unanswered();
    }
    let first = bench.sends();
    let back = bench.now;
    bench.read_answered();
    let second = bench.sends();
    assert_ne!(first, second);
    assert_eq!(bench.now.saturating_sub(back), ms(20) + PAUSE);
}

#[test]
fn a_damaged_answer_is_asked_for_again_and_then_left() {
    let mut bench = Bench::polling(&[1, 2]);
    bench.all_answer(2);
    bench.now = ms(1000);
    let mut order = Vec::new();
    for _ in 0..4 {
        let job = bench.sends();
        order.push(job);
        if job == read(1) {
            bench.line.failed(Failure::Damaged, bench.now, 1.0);
        } else {
            bench.read_answered();
        }
    }
    assert_eq!(order, [read(1), read(1), read(1), read(2)]);
    assert_eq!((bench.sends(), bench.now), (read(1), ms(2000)));
}
