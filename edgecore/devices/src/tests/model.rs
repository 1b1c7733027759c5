//! A twin under everything that can happen to it, in any order, against a naive account of what must follow.
//!
//! Every write that is asked for has a value of its own, so that what reaches the device says whose it is. The account of
//! reports is kept in plain integers; what is known of writes are rules that hold after each step and in the end.

mod account;
mod happens;

use proptest::prelude::*;

use crate::tests::model::account::Account;
use crate::tests::model::happens::{Happens, happens, settings};

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn twins_keep_their_rules(
        settings in settings(),
        events in prop::collection::vec(happens(), 1..150),
    ) {
        let mut account = Account::new(settings);
        for event in &events {
            account.take(event);
        }
        account.settle();
    }
}

#[test]
fn commands_come_in_hundreds() {
    let mut account = Account::new(happens::plain());
    account.take(&Happens::DriverUp);
    for n in 0..300_u16 {
        account.take(&Happens::Command { back: 0, ttl: 20_000, valid: true });
        account.take(&Happens::Answer { late: false, answer: happens::Says::Done });
        account.take(&Happens::Command { back: usize::from(n % 60), ttl: 0, valid: true });
        account.take(&Happens::Pass { ms: 300 });
    }
    account.settle();
}
