//! Requests and answers against the examples of "MODBUS Application Protocol Specification V1.1b3", chapter 6.

use crate::answer::{Answer, AnswerError, Cells};
use crate::exception::Exception;
use crate::request::{Function, MAX_PDU, Request, RequestError};
use crate::span::{Span, Table};
use crate::tests::{hex, holding};

fn bits(text: &str) -> Answer {
    Answer::Bits(text.chars().filter(|c| !c.is_whitespace()).map(|c| c == '1').collect())
}

fn read(table: Table, first: u16, count: u16) -> Request {
    Request::read(Span::new(table, first, count).unwrap())
}

#[test]
fn the_specifications_examples() {
    let on: Vec<bool> = "1011001110".chars().map(|c| c == '1').collect();
    for (request, asked, answered, answer) in [
        // 6.1: coils 20 to 38, the lowest first.
        (read(Table::Coils, 19, 19), "01 00 13 00 13", "01 03 CD 6B 05", bits("10110011 11010110 101")),
        // 6.2: inputs 197 to 218.
        (
            read(Table::DiscreteInputs, 196, 22),
            "02 00 C4 00 16",
            "02 03 AC DB 35",
            bits("00110101 11011011 101011"),
        ),
        // 6.3: registers 108 to 110.
        (
            read(Table::HoldingRegisters, 107, 3),
            "03 00 6B 00 03",
            "03 06 02 2B 00 00 00 64",
            Answer::Registers(vec![555, 0, 100]),
        ),
        // 6.4: input register 9.
        (read(Table::InputRegisters, 8, 1), "04 00 08 00 01", "04 02 00 0A", Answer::Registers(vec![10])),
        // 6.5: coil 173.
        (Request::write_coil(172, true), "05 00 AC FF 00", "05 00 AC FF 00", Answer::Written),
        (Request::write_coil(172, false), "05 00 AC 00 00", "05 00 AC 00 00", Answer::Written),
        // 6.6: register 2.
        (Request::write_register(1, 3), "06 00 01 00 03", "06 00 01 00 03", Answer::Written),
        // 6.11: ten coils from 20 on.
        (
            Request::write_coils(19, &on).unwrap(),
            "0F 00 13 00 0A 02 CD 01",
            "0F 00 13 00 0A",
            Answer::Written,
        ),
        // 6.12: two registers from 2 on.
        (
            Request::write_registers(1, vec![0x000A, 0x0102]).unwrap(),
            "10 00 01 00 02 04 00 0A 01 02",
            "10 00 01 00 02",
            Answer::Written,
        ),
    ] {
        assert_eq!(request.encode(), hex(asked));
        assert_eq!(request.answer(&hex(answered)), Ok(answer), "{asked}");
    }
}

#[test]
fn a_refusal_is_an_answer() {
    // 7: a coil that the unit does not have.
    let request = read(Table::Coils, 0x4A1, 1);
    assert_eq!(request.answer(&hex("81 02")), Ok(Answer::Refused(Exception::IllegalDataAddress)));
    assert_eq!(request.answer(&hex("81 0B")), Ok(Answer::Refused(Exception::GatewayTargetFailedToRespond)));
    assert_eq!(request.answer(&hex("81 63")), Ok(Answer::Refused(Exception::Other(0x63))));
    let function = Function::ReadCoils;
    for wrong in ["81", "81 02 00"] {
        let got = hex(wrong).len();
        assert_eq!(request.answer(&hex(wrong)), Err(AnswerError::WrongLength { function, expected: 2, got }));
    }
}

#[test]
fn what_answers_something_else_is_named() {
    let request = Request::read(holding(107, 3));
    let function = Function::ReadHoldingRegisters;
    assert_eq!(request.answer(&[]), Err(AnswerError::Empty));
    let wrong_function = |got| Err(AnswerError::WrongFunction { asked: function, got });
    assert_eq!(request.answer(&hex("04 06 02 2B 00 00 00 64")), wrong_function(4));
    assert_eq!(request.answer(&hex("84 02")), wrong_function(0x84));
    let wrong_length = |got| Err(AnswerError::WrongLength { function, expected: 8, got });
    assert_eq!(request.answer(&hex("03")), wrong_length(1));
    assert_eq!(request.answer(&hex("03 06 02 2B 00 00 00")), wrong_length(7));
    assert_eq!(request.answer(&hex("03 06 02 2B 00 00 00 64 00")), wrong_length(9));
    let wrong_count = |got| Err(AnswerError::WrongByteCount { function, expected: 6, got });
    assert_eq!(request.answer(&hex("03 04 02 2B 00 00")), wrong_count(4));
    assert_eq!(request.answer(&hex("03 05 02 2B 00 00 00")), wrong_count(5));
}

#[test]
fn a_write_is_confirmed_as_it_was_made_or_not_at_all() {
    let request = Request::write_register(1, 3);
    let function = Function::WriteSingleRegister;
    let (expected, got) = ([0, 1, 0, 3], [0, 1, 0, 4]);
    assert_eq!(
        request.answer(&hex("06 00 01 00 04")),
        Err(AnswerError::OtherWrite { function, expected, got })
    );
    assert_eq!(
        request.answer(&hex("06 00 01 00")),
        Err(AnswerError::WrongLength { function, expected: 5, got: 4 })
    );
    let several = Request::write_registers(1, vec![7, 8]).unwrap();
    assert!(matches!(several.answer(&hex("10 00 01 00 01")), Err(AnswerError::OtherWrite { .. })));
}

#[test]
fn bits_that_pad_a_byte_are_not_looked_at() {
    assert_eq!(read(Table::Coils, 0, 3).answer(&hex("01 01 FD")), Ok(bits("101")));
}

#[test]
fn writes_are_bounded() {
    assert_eq!(Request::write_coils(5, &[]), Err(RequestError::Empty(5)));
    assert_eq!(Request::write_registers(5, vec![]), Err(RequestError::Empty(5)));
    let most = Request::write_registers(0, vec![0; 123]).unwrap();
    assert_eq!(most.encode().len(), MAX_PDU - 1);
    assert!(matches!(
        Request::write_registers(0, vec![0; 124]),
        Err(RequestError::TooMany { most: 123, .. })
    ));
    assert!(matches!(
        Request::write_registers(0, vec![0; 70_000]),
        Err(RequestError::TooMany { count: 70_000, .. })
    ));
    let most = Request::write_coils(0, &[true; 1968]).unwrap();
    assert_eq!(most.encode().len(), MAX_PDU - 1);
    assert!(matches!(Request::write_coils(0, &[true; 1969]), Err(RequestError::TooMany { most: 1968, .. })));
    assert!(Request::write_registers(65535, vec![1]).is_ok());
    assert!(matches!(Request::write_registers(65535, vec![1, 2]), Err(RequestError::PastTheEnd { .. })));
}

#[test]
fn cells_are_taken_out_of_an_answer() {
    let whole = holding(10, 4);
    let answer = Answer::Registers(vec![1, 2, 3, 4]);
    let range = holding(12, 2).within(whole).unwrap();
    assert_eq!(answer.cells(range), Some(Cells::Registers(&[3, 4])));
    assert_eq!(answer.cells(3..5), None);
    assert_eq!(Answer::Written.cells(0..0), None);
}
