//! Plans: few reads, no wrong ones, and what refusals teach.

use proptest::prelude::*;

use crate::exception::Exception;
use crate::learned::{Learned, Lesson};
use crate::plan::{Merge, Point, Read, plan};
use crate::span::{Span, Table};
use crate::tests::{coils, holding, unit};
use crate::unit::Unit;

fn points(spans: &[Span]) -> Vec<Point> {
    spans.iter().map(|span| Point { unit: unit(1), span: *span }).collect()
}

fn spans(reads: &[Read]) -> Vec<(u16, u16)> {
    reads.iter().map(|read| (read.span.first(), read.span.count())).collect()
}

fn planned(spans_: &[Span]) -> Vec<(u16, u16)> {
    spans(&plan(&points(spans_), &Learned::default(), Merge::default()))
}

#[test]
fn neighbours_and_near_ones_are_read_together() {
    assert_eq!(planned(&[]), []);
    assert_eq!(planned(&[holding(2, 2), holding(0, 2)]), [(0, 4)]);
    assert_eq!(planned(&[holding(0, 1), holding(17, 1)]), [(0, 18)], "a gap of 16");
    assert_eq!(planned(&[holding(0, 1), holding(18, 1)]), [(0, 1), (18, 1)], "a gap of 17");
    assert_eq!(planned(&[coils(0, 1), coils(257, 1)]), [(0, 258)]);
    assert_eq!(planned(&[coils(0, 1), coils(258, 1)]), [(0, 1), (258, 1)]);
    assert_eq!(planned(&[holding(4, 8), holding(4, 2), holding(6, 3), holding(4, 8)]), [(4, 8)]);
}

#[test]
fn a_read_holds_what_the_protocol_allows() {
    let all: Vec<Span> = (0..200).map(|address| holding(address, 1)).collect();
    assert_eq!(planned(&all), [(0, 125), (125, 75)]);
    let all: Vec<Span> = (0..2001).map(|address| coils(address, 1)).collect();
    assert_eq!(planned(&all), [(0, 2000), (2000, 1)]);
    let few = Merge { most_registers: 32, ..Merge::default() };
    let registers = points(&[holding(0, 30), holding(30, 2), holding(32, 1), holding(40, 100)]);
    assert_eq!(spans(&plan(&registers, &Learned::default(), few)), [(0, 32), (32, 1), (40, 100)]);
    let small = Merge { most_registers: 5, ..Merge::default() };
    let inside = points(&[holding(0, 2), holding(0, 10), holding(4, 2)]);
    assert_eq!(spans(&plan(&inside, &Learned::default(), small)), [(0, 10)], "a value is whole all the same");
    assert_eq!(planned(&[holding(65535, 1), holding(65533, 2)]), [(65533, 3)]);
}

#[test]
fn a_value_is_never_torn() {
    assert_eq!(planned(&[holding(0, 124), holding(124, 4)]), [(0, 124), (124, 4)]);
}

#[test]
fn units_and_tables_are_read_apart() {
    let input = Span::new(Table::InputRegisters, 1, 1).unwrap();
    let all = [
        Point { unit: unit(2), span: holding(0, 1) },
        Point { unit: unit(1), span: holding(0, 1) },
        Point { unit: unit(1), span: input },
        Point { unit: unit(2), span: holding(1, 1) },
    ];
    let reads = plan(&all, &Learned::default(), Merge::default());
    let told: Vec<_> = reads.iter().map(|r| (r.unit.number(), r.span.table(), r.points.clone())).collect();
    assert_eq!(
        told,
        [
            (1, Table::HoldingRegisters, vec![1]),
            (1, Table::InputRegisters, vec![2]),
            (2, Table::HoldingRegisters, vec![0, 3]),
        ]
    );
}

/// Reads until nothing changes, from a unit that has only the registers that `has` says and gives `most` at once.
/// Returns the last plan, what was refused, and how many refusals it took.
fn settle(all: &[Point], has: impl Fn(u32) -> bool, most: u16) -> (Vec<Read>, Vec<Span>, usize) {
    let mut learned = Learned::default();
    let (mut refusals, mut hopeless) = (0, Vec::new());
    loop {
        let reads = plan(all, &learned, Merge::default());
        let refused = reads.iter().find(|read| {
            let whole = u32::from(read.span.first())..read.span.end();
            let given = read.span.count() <= most && whole.into_iter().all(&has);
            !given && !hopeless.contains(&read.span)
        });
        let Some(refused) = refused else { return (reads, hopeless, refusals) };
        refusals += 1;
        assert!(refusals <= 2 * all.len(), "each refusal brings the plan forward");
        match learned.learn(all, refused, Exception::IllegalDataAddress) {
            Lesson::Split => {}
            Lesson::Refused(span) => hopeless.push(span),
            Lesson::Nothing => panic!("{refused:?} taught nothing"),
        }
    }
}

#[test]
fn a_refused_read_is_split_at_its_widest_gap_and_stays_so() {
    let all = points(&[holding(0, 2), holding(4, 2), holding(16, 2), holding(18, 2)]);
    let (reads, refused, refusals) = settle(&all, |address| !(6..16).contains(&address), 125);
    assert_eq!((spans(&reads), refused, refusals), (vec![(0, 6), (16, 4)], vec![], 1));
}

#[test]
fn a_unit_that_gives_less_at_once_is_asked_for_less() {
    let all: Vec<Point> = (0..100).map(|n| Point { unit: unit(1), span: holding(n, 1) }).collect();
    let (reads, refused, _) = settle(&all, |_| true, 32);
    assert_eq!((reads.len(), refused), (4, vec![]), "{:?}", spans(&reads));
}

#[test]
fn one_wrong_point_does_not_spoil_the_others() {
    let all = points(&[holding(0, 2), holding(2, 2), holding(4, 2), holding(2, 1), holding(3, 3)]);
    let (reads, refused, _) = settle(&all, |address| address != 3, 125);
    assert_eq!(refused, [holding(2, 2), holding(3, 3)]);
    let good: Vec<_> = reads.iter().filter(|read| !refused.contains(&read.span)).collect();
    assert!(good.iter().all(|read| u32::from(read.span.first()) > 3 || read.span.end() <= 3), "{good:?}");
}

#[test]
fn what_the_cells_are_not_to_blame_for_teaches_nothing() {
    let all = points(&[holding(0, 1), holding(4, 1)]);
    let mut learned = Learned::default();
    let reads = plan(&all, &learned, Merge::default());
    for exception in [Exception::ServerDeviceBusy, Exception::IllegalFunction, Exception::Other(9)] {
        assert_eq!(learned.learn(&all, &reads[0], exception), Lesson::Nothing);
    }
    assert_eq!(learned, Learned::default());
    assert_eq!(learned.learn(&all, &reads[0], Exception::IllegalDataValue), Lesson::Split);
    assert_eq!(plan(&all, &learned, Merge::default()).len(), 2);
    learned.forget(unit(1));
    assert_eq!(learned, Learned::default());
}

#[test]
fn another_unit_is_not_judged_by_it() {
    let spans_ = [holding(0, 1), holding(4, 1)];
    let all: Vec<Point> =
        [1, 2].into_iter().flat_map(|n| spans_.map(|span| Point { unit: unit(n), span })).collect();
    let mut learned = Learned::default();
    let reads = plan(&all, &learned, Merge::default());
    learned.learn(&all, &reads[0], Exception::IllegalDataAddress);
    let reads = plan(&all, &learned, Merge::default());
    assert_eq!(reads.iter().map(|read| read.unit.number()).collect::<Vec<_>>(), [1, 1, 2]);
}

fn point() -> impl Strategy<Value = Point> {
    (1_i64..4, 0_usize..4, 0_u16..400, 1_u16..=125).prop_map(|(number, table, first, count)| Point {
        unit: unit(number),
        span: Span::new(Table::ALL[table], first, count).unwrap(),
    })
}

/// Whether these may be one read.
fn one_read(set: &[&Point], merge: Merge) -> bool {
    let mut sorted: Vec<&&Point> = set.iter().collect();
    sorted.sort_by_key(|point| point.span.first());
    let (first, mut end) = (u32::from(sorted[0].span.first()), sorted[0].span.end());
    for point in &sorted[1..] {
        if u32::from(point.span.first()) > end + u32::from(merge.gap_registers) {
            return false;
        }
        end = end.max(point.span.end());
    }
    end - first <= u32::from(merge.most_registers)
}

/// The least number of reads, by trying every way to share the points out.
fn least(all: &[Point], merge: Merge) -> usize {
    fn place<'a>(left: &'a [Point], groups: &mut Vec<Vec<&'a Point>>, merge: Merge, best: &mut usize) {
        let Some((point, left)) = left.split_first() else {
            if groups.iter().all(|group| one_read(group, merge)) {
                *best = groups.len().min(*best);
            }
            return;
        };
        for at in 0..groups.len() {
            groups[at].push(point);
            place(left, groups, merge, best);
            groups[at].pop();
        }
        groups.push(vec![point]);
        place(left, groups, merge, best);
        groups.pop();
    }
    let mut best = all.len();
    place(all, &mut Vec::new(), merge, &mut best);
    best
}

proptest! {
    #[test]
    fn every_point_is_read_once_whole_and_within_limits(all in prop::collection::vec(point(), 0..60)) {
        let merge = Merge::default();
        let reads = plan(&all, &Learned::default(), merge);
        let mut served: Vec<usize> = reads.iter().flat_map(|read| read.points.clone()).collect();
        served.sort_unstable();
        prop_assert_eq!(served, (0..all.len()).collect::<Vec<_>>());
        for read in &reads {
            prop_assert!(read.span.count() <= read.span.table().most_read());
            for index in &read.points {
                prop_assert_eq!(all[*index].unit, read.unit);
                prop_assert!(all[*index].span.within(read.span).is_some());
            }
        }
    }

    /// No way to share them out is better.
    #[test]
    fn there_are_no_fewer_reads(places in prop::collection::vec((0_u16..60, 1_u16..20), 1..8)) {
        let merge = Merge { gap_registers: 3, most_registers: 20, ..Merge::default() };
        let all: Vec<Point> =
            places.iter().map(|(first, count)| Point { unit: unit(1), span: holding(*first, *count) }).collect();
        prop_assert_eq!(plan(&all, &Learned::default(), merge).len(), least(&all, merge));
    }

    /// Whatever a unit lacks: in the end every point is read that can be, and only those are given up that cannot.
    #[test]
    fn refusals_lead_to_every_value_that_can_be_had(
        places in prop::collection::vec((0_u16..80, 1_u16..6), 1..30),
        missing in prop::collection::btree_set(0_u32..90, 0..20),
        most in 6_u16..=125,
    ) {
        let all: Vec<Point> =
            places.iter().map(|(first, count)| Point { unit: unit(1), span: holding(*first, *count) }).collect();
        let (reads, refused, _) = settle(&all, |address| !missing.contains(&address), most);
        let can = |span: Span| (u32::from(span.first())..span.end()).all(|address| !missing.contains(&address));
        for read in &reads {
            let good = can(read.span) && read.span.count() <= most;
            prop_assert!(good || refused.contains(&read.span));
            for index in &read.points {
                prop_assert!(good || !can(all[*index].span), "{:?} is lost in {:?}", all[*index], read);
            }
        }
    }
}

#[test]
fn thirty_units_of_forty_registers_take_a_request_each() {
    let units: Vec<Unit> = (1..=30).map(unit).collect();
    let all: Vec<Point> =
        units.iter().flat_map(|unit| (0..40).map(|n| Point { unit: *unit, span: holding(n, 1) })).collect();
    assert_eq!(plan(&all, &Learned::default(), Merge::default()).len(), 30);
}
