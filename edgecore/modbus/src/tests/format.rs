//! Values and the registers that hold them, by vectors.

use proptest::prelude::*;

use crate::answer::Cells;
use crate::format::{Format, FormatError, Kind, ReadError, Single, WriteError, Writing};
use crate::order::Order;
use crate::raw::{NotFinite, Raw};
use crate::request::Request;
use crate::span::Table;
use crate::tests::hex;

const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];

fn format(kind: Kind, order: Order) -> Format {
    Format::new(Table::HoldingRegisters, 100, kind, order).unwrap()
}

fn registers(text: &str) -> Vec<u16> {
    hex(text).as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
}

fn read(kind: Kind, order: Order, bytes: &str) -> Result<Raw, ReadError> {
    format(kind, order).read(Cells::Registers(&registers(bytes)))
}

fn written(format: Format, value: &Raw) -> Result<Writing, WriteError> {
    format.write(value, Single::ByItself)
}

fn request(values: &[u16]) -> Request {
    match values {
        [value] => Request::write_register(100, *value),
        several => Request::write_registers(100, several.to_vec()).unwrap(),
    }
}

/// A kind, a value, and its bytes on the wire as ABCD, CDAB, BADC, DCBA.
type Vector = (Kind, Raw, [&'static str; 4]);

fn short_vectors() -> Vec<Vector> {
    vec![
        (Kind::Int16, Raw::Signed(-2), ["FF FE", "FF FE", "FE FF", "FE FF"]),
        (Kind::Uint16, Raw::Unsigned(0x1234), ["12 34", "12 34", "34 12", "34 12"]),
        (Kind::Bool, Raw::Bool(true), ["00 01", "00 01", "01 00", "01 00"]),
        (
            Kind::Int32,
            Raw::Signed(-559_038_737),
            ["DE AD BE EF", "BE EF DE AD", "AD DE EF BE", "EF BE AD DE"],
        ),
        (
            Kind::Uint32,
            Raw::Unsigned(0xDEAD_BEEF),
            ["DE AD BE EF", "BE EF DE AD", "AD DE EF BE", "EF BE AD DE"],
        ),
        // 123456.0 as the manuals of meters give it.
        (
            Kind::Float32,
            Raw::Float32(123_456.0),
            ["47 F1 20 00", "20 00 47 F1", "F1 47 00 20", "00 20 F1 47"],
        ),
    ]
}

fn long_vectors() -> Vec<Vector> {
    vec![
        (
            Kind::Int64,
            Raw::Signed(0x0102_0304_0506_0708),
            [
                "01 02 03 04 05 06 07 08",
                "07 08 05 06 03 04 01 02",
                "02 01 04 03 06 05 08 07",
                "08 07 06 05 04 03 02 01",
            ],
        ),
        (
            Kind::Uint64,
            Raw::Unsigned(u64::MAX - 1),
            [
                "FF FF FF FF FF FF FF FE",
                "FF FE FF FF FF FF FF FF",
                "FF FF FF FF FF FF FE FF",
                "FE FF FF FF FF FF FF FF",
            ],
        ),
        (
            Kind::Float64,
            Raw::Float64(std::f64::consts::PI),
            [
                "40 09 21 FB 54 44 2D 18",
                "2D 18 54 44 21 FB 40 09",
                "09 40 FB 21 44 54 18 2D",
                "18 2D 44 54 FB 21 09 40",
            ],
        ),
        (
            Kind::Text(2),
            Raw::Text("abc".to_owned()),
            ["61 62 63 00", "63 00 61 62", "62 61 00 63", "00 63 62 61"],
        ),
        (
            Kind::Bytes(2),
            Raw::Bytes(vec![1, 2, 3, 0]),
            ["01 02 03 00", "03 00 01 02", "02 01 00 03", "00 03 02 01"],
        ),
    ]
}

#[test]
fn every_type_in_every_order() {
    for (kind, value, wires) in [short_vectors(), long_vectors()].concat() {
        for (order, wire) in ORDERS.into_iter().zip(wires) {
            assert_eq!(read(kind, order, wire), Ok(value.clone()), "{kind:?} {order:?}");
            let expected = Writing::Cells(request(&registers(wire)));
            assert_eq!(written(format(kind, order), &value), Ok(expected), "{kind:?} {order:?}");
        }
    }
}

#[test]
fn kubeedges_swaps_are_these_orders() {
    let orders = [(false, false), (true, false), (false, true), (true, true)]
        .map(|(registers, bytes)| Order::from_swaps(registers, bytes));
    assert_eq!(orders, ORDERS);
    for order in ORDERS {
        assert_eq!(Order::from_swaps(order.swaps_registers(), order.swaps_bytes()), order);
    }
}

#[test]
fn the_ends_of_the_integer_types() {
    for (kind, value, wire) in [
        (Kind::Int16, Raw::Signed(-32768), "80 00"),
        (Kind::Int16, Raw::Signed(32767), "7F FF"),
        (Kind::Uint16, Raw::Unsigned(65535), "FF FF"),
        (Kind::Int32, Raw::Signed(i32::MIN.into()), "80 00 00 00"),
        (Kind::Uint32, Raw::Unsigned(u32::MAX.into()), "FF FF FF FF"),
        (Kind::Int64, Raw::Signed(i64::MIN), "80 00 00 00 00 00 00 00"),
        (Kind::Int64, Raw::Signed(i64::MAX), "7F FF FF FF FF FF FF FF"),
        (Kind::Uint64, Raw::Unsigned(u64::MAX), "FF FF FF FF FF FF FF FF"),
    ] {
        assert_eq!(read(kind, Order::Abcd, wire), Ok(value));
    }
    let out = |kind, value| {
        assert_eq!(written(format(kind, Order::Abcd), &value), Err(WriteError::OutOfRange(kind)));
    };
    out(Kind::Int16, Raw::Signed(32768));
    out(Kind::Int16, Raw::Signed(-32769));
    out(Kind::Int16, Raw::Unsigned(32768));
    out(Kind::Uint16, Raw::Signed(-1));
    out(Kind::Uint16, Raw::Unsigned(65536));
    out(Kind::Int32, Raw::Signed(i64::MIN));
    out(Kind::Uint32, Raw::Unsigned(u64::MAX));
    out(Kind::Int64, Raw::Unsigned(u64::MAX));
    out(Kind::Uint64, Raw::Signed(-1));
}

#[test]
fn floats_that_are_no_numbers_are_reported_as_such() {
    for (kind, wire, what) in [
        (Kind::Float32, "7F C0 00 00", NotFinite::NaN),
        (Kind::Float32, "FF FF FF FF", NotFinite::NaN),
        (Kind::Float32, "7F 80 00 00", NotFinite::Infinity),
        (Kind::Float32, "FF 80 00 00", NotFinite::NegativeInfinity),
        (Kind::Float64, "7F F0 00 00 00 00 00 01", NotFinite::NaN),
        (Kind::Float64, "7F F0 00 00 00 00 00 00", NotFinite::Infinity),
        (Kind::Float64, "FF F0 00 00 00 00 00 00", NotFinite::NegativeInfinity),
    ] {
        assert_eq!(read(kind, Order::Abcd, wire), Ok(Raw::NotFinite(what)));
        assert_eq!(
            written(format(kind, Order::Abcd), &Raw::NotFinite(what)),
            Err(WriteError::NotFinite(what))
        );
    }
}

#[test]
fn floats_are_rounded_and_integers_in_them_are_exact() {
    let single = format(Kind::Float32, Order::Abcd);
    let wire = |value: f32| {
        Ok(Writing::Cells(request(
            &[value.to_bits() >> 16, value.to_bits() & 0xFFFF].map(|r| u16::try_from(r).unwrap()),
        )))
    };
    assert_eq!(written(single, &Raw::Float64(21.3)), wire(21.3));
    assert_eq!(written(single, &Raw::Float64(1e39)), Err(WriteError::OutOfRange(Kind::Float32)));
    assert_eq!(written(single, &Raw::Signed(-16_777_216)), wire(-16_777_216.0));
    assert_eq!(written(single, &Raw::Unsigned(16_777_217)), Err(WriteError::Inexact(Kind::Float32)));
    assert_eq!(written(single, &Raw::Unsigned(0)), wire(0.0));
    assert_eq!(written(single, &Raw::Unsigned(1 << 63)), wire(9_223_372_036_854_775_808.0));
    let double = format(Kind::Float64, Order::Abcd);
    assert!(written(double, &Raw::Signed(9_007_199_254_740_992)).is_ok());
    assert!(written(double, &Raw::Signed(i64::MIN)).is_ok());
    assert_eq!(
        written(double, &Raw::Signed(-9_007_199_254_740_993)),
        Err(WriteError::Inexact(Kind::Float64))
    );
    assert_eq!(written(double, &Raw::Float64(f64::NAN)), Err(WriteError::OutOfRange(Kind::Float64)));
}

#[test]
fn bits_of_registers() {
    for (order, wire) in [(Order::Abcd, "80 01"), (Order::Badc, "01 80")] {
        let bits: Vec<u8> =
            (0..16).filter(|bit| read(Kind::Bit(*bit), order, wire) == Ok(Raw::Bool(true))).collect();
        assert_eq!(bits, [0, 15]);
    }
    let patch =
        |bit, order, on, current| match written(format(Kind::Bit(bit), order), &Raw::Bool(on)).unwrap() {
            Writing::Patch(patch) => (patch.address(), patch.over(current)),
            Writing::Cells(request) => panic!("{request:?} writes the others as well"),
        };
    assert_eq!(patch(3, Order::Abcd, true, 0xF000), (100, 0xF008));
    assert_eq!(patch(3, Order::Abcd, false, 0xFFFF), (100, 0xFFF7));
    assert_eq!(patch(15, Order::Badc, true, 0), (100, 0x0080));
    assert_eq!(
        Format::new(Table::InputRegisters, 0, Kind::Bit(16), Order::Abcd),
        Err(FormatError::NoSuchBit(16))
    );
}

#[test]
fn a_register_is_true_unless_zero() {
    assert_eq!(read(Kind::Bool, Order::Abcd, "00 00"), Ok(Raw::Bool(false)));
    assert_eq!(read(Kind::Bool, Order::Abcd, "01 00"), Ok(Raw::Bool(true)));
}

#[test]
fn coils_one_and_several() {
    let one = Format::new(Table::Coils, 7, Kind::Bool, Order::Dcba).unwrap();
    assert_eq!(one.read(Cells::Bits(&[true])), Ok(Raw::Bool(true)));
    assert_eq!(written(one, &Raw::Bool(true)), Ok(Writing::Cells(Request::write_coil(7, true))));
    assert_eq!(
        one.write(&Raw::Bool(true), Single::AsMultiple),
        Ok(Writing::Cells(Request::write_coils(7, &[true]).unwrap()))
    );
    let three = Format::new(Table::Coils, 7, Kind::Bits(3), Order::Abcd).unwrap();
    assert_eq!(three.read(Cells::Bits(&[false, true, true])), Ok(Raw::Unsigned(6)));
    assert_eq!(
        written(three, &Raw::Unsigned(6)),
        Ok(Writing::Cells(Request::write_coils(7, &[false, true, true]).unwrap()))
    );
    assert_eq!(written(three, &Raw::Unsigned(8)), Err(WriteError::OutOfRange(Kind::Bits(3))));
    let all = Format::new(Table::Coils, 0, Kind::Bits(64), Order::Abcd).unwrap();
    assert_eq!(all.read(Cells::Bits(&[true; 64])), Ok(Raw::Unsigned(u64::MAX)));
    assert!(written(all, &Raw::Unsigned(u64::MAX)).is_ok());
    assert_eq!(
        Format::new(Table::DiscreteInputs, 0, Kind::Bits(65), Order::Abcd),
        Err(FormatError::TooManyBits(65))
    );
}

#[test]
fn text_ends_at_the_first_nul() {
    assert_eq!(read(Kind::Text(3), Order::Abcd, "41 42 00 FF 43 00"), Ok(Raw::Text("AB".to_owned())));
    assert_eq!(read(Kind::Text(2), Order::Abcd, "41 C3 A9 20"), Ok(Raw::Text("Aé ".to_owned())));
    assert_eq!(read(Kind::Text(2), Order::Abcd, "41 C3 28 00"), Err(ReadError::NotText(1)));
    let two = format(Kind::Text(2), Order::Abcd);
    assert_eq!(written(two, &Raw::Text("a\0b".to_owned())), Err(WriteError::Nul));
    assert_eq!(
        written(two, &Raw::Text("abcde".to_owned())),
        Err(WriteError::Length { kind: Kind::Text(2), got: 5, most: 4 })
    );
    assert_eq!(
        written(format(Kind::Bytes(2), Order::Abcd), &Raw::Bytes(vec![1])),
        Err(WriteError::Length { kind: Kind::Bytes(2), got: 1, most: 4 })
    );
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let new = |table, kind| Format::new(table, 0, kind, Order::Abcd);
    let wrong = |table, kind| assert_eq!(new(table, kind), Err(FormatError::WrongTable { kind, table }));
    wrong(Table::Coils, Kind::Int16);
    wrong(Table::DiscreteInputs, Kind::Text(1));
    wrong(Table::HoldingRegisters, Kind::Bits(1));
    for kind in [Kind::Text(0), Kind::Text(126), Kind::Bytes(0), Kind::Bytes(126)] {
        assert!(matches!(new(Table::InputRegisters, kind), Err(FormatError::Span(_))), "{kind:?}");
    }
    assert!(matches!(
        Format::new(Table::HoldingRegisters, 65535, Kind::Int32, Order::Abcd),
        Err(FormatError::Span(_))
    ));
    let input = new(Table::InputRegisters, Kind::Int16).unwrap();
    assert_eq!(written(input, &Raw::Signed(1)), Err(WriteError::ReadOnly(Table::InputRegisters)));
    let holding = new(Table::HoldingRegisters, Kind::Int16).unwrap();
    assert_eq!(written(holding, &Raw::Float64(1.0)), Err(WriteError::WrongType(Kind::Int16)));
    assert_eq!(holding.read(Cells::Registers(&[1, 2])), Err(ReadError::WrongCells));
    assert_eq!(holding.read(Cells::Bits(&[true])), Err(ReadError::WrongCells));
    // Read by one request, and too long for one that writes.
    let long = new(Table::HoldingRegisters, Kind::Text(125)).unwrap();
    assert!(matches!(written(long, &Raw::Text(String::new())), Err(WriteError::Request(_))));
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Int16),
        Just(Kind::Uint16),
        Just(Kind::Int32),
        Just(Kind::Uint32),
        Just(Kind::Int64),
        Just(Kind::Uint64),
        Just(Kind::Float32),
        Just(Kind::Float64),
        (1_u16..20).prop_map(Kind::Text),
        (1_u16..20).prop_map(Kind::Bytes),
    ]
}

proptest! {
    /// What was read and is written back is what was there; what is written reads as what was meant.
    #[test]
    fn writing_is_the_inverse_of_reading(kind in kind(), order in 0_usize..4, cells in any::<[u16; 20]>()) {
        let format = format(kind, ORDERS[order]);
        let cells = &cells[..usize::from(kind.cells())];
        let Ok(value) = format.read(Cells::Registers(cells)) else { return Ok(()) };
        let Ok(Writing::Cells(request)) = format.write(&value, Single::AsMultiple) else {
            prop_assert!(matches!(value, Raw::NotFinite(_)), "{:?}", value);
            return Ok(());
        };
        let pdu = request.encode();
        let (pairs, _) = pdu[6..].as_chunks::<2>();
        let back: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        if !matches!(kind, Kind::Text(_)) {
            prop_assert_eq!(&back, cells);
        }
        prop_assert_eq!(format.read(Cells::Registers(&back)), Ok(value));
    }

    /// A finite float keeps every bit, and the sign of zero.
    #[test]
    fn floats_keep_their_bits(bits in any::<u32>()) {
        let wire = [u16::try_from(bits >> 16).unwrap(), u16::try_from(bits & 0xFFFF).unwrap()];
        match format(Kind::Float32, Order::Abcd).read(Cells::Registers(&wire)) {
            Ok(Raw::Float32(value)) => prop_assert_eq!(value.to_bits(), bits),
            other => prop_assert!(!f32::from_bits(bits).is_finite(), "{:?}", other),
        }
    }
}
