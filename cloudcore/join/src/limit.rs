//! How many may ask to join: token buckets per address and in all. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use kit::Elapsed;

/// Requests at once, and per second, from one address (of IPv6: one /64).
const PER_ADDRESS: Rate = Rate { burst: 20.0, per_second: 2.0 };
/// Requests at once, and per second, in all.
const IN_ALL: Rate = Rate { burst: 200.0, per_second: 50.0 };
/// Addresses remembered; when there are more, those that have been quiet longest are forgotten.
const MAX_ADDRESSES: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Elapsed,
}

impl Bucket {
    fn refilled(self, rate: Rate, now: Elapsed) -> Self {
        let gained = now.since(self.at).as_secs_f64() * rate.per_second;
        Self { left: (self.left + gained).min(rate.burst), at: now }
    }

    /// How long until one more fits.
    fn wait(self, rate: Rate) -> Duration {
        Duration::from_secs_f64(((1.0 - self.left) / rate.per_second).max(0.0))
    }
}

/// Counts requests.
#[derive(Debug)]
pub(crate) struct Limit {
    all: Bucket,
    addresses: BTreeMap<IpAddr, Bucket>,
}

impl Limit {
    pub(crate) fn new(now: Elapsed) -> Self {
        Self { all: Bucket { left: IN_ALL.burst, at: now }, addresses: BTreeMap::new() }
    }

    /// Whether one more request from there may come; the error is how long it should wait.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Elapsed) -> Result<(), Duration> {
        let address = neighbourhood(address);
        let fresh = Bucket { left: PER_ADDRESS.burst, at: now };
        let one = self.addresses.get(&address).copied().unwrap_or(fresh).refilled(PER_ADDRESS, now);
        let all = self.all.refilled(IN_ALL, now);
        if one.left < 1.0 {
            return Err(one.wait(PER_ADDRESS));
        }
        if all.left < 1.0 {
            return Err(all.wait(IN_ALL));
        }
        if !self.addresses.contains_key(&address) && self.addresses.len() >= MAX_ADDRESSES {
            self.forget(now);
        }
        self.all = Bucket { left: all.left - 1.0, ..all };
        self.addresses.insert(address, Bucket { left: one.left - 1.0, ..one });
        Ok(())
    }

    /// Forgets whoever has a full bucket again, or else the one that has been quiet longest.
    fn forget(&mut self, now: Elapsed) {
        self.addresses.retain(|_, bucket| bucket.refilled(PER_ADDRESS, now).left < PER_ADDRESS.burst);
        if self.addresses.len() >= MAX_ADDRESSES {
            let oldest =
                self.addresses.iter().min_by_key(|(_, bucket)| bucket.at).map(|(address, _)| *address);
            if let Some(oldest) = oldest {
                self.addresses.remove(&oldest);
            }
        }
    }
}

/// Who has one IPv6 address usually has all of its /64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_address_is_limited_and_another_is_not() {
        let (one, two): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut now = Elapsed::default();
        let mut limit = Limit::new(now);
        for _ in 0..20 {
            limit.admit(one, now).unwrap();
        }
        let wait = limit.admit(one, now).unwrap_err();
        assert!(wait <= Duration::from_millis(500));
        limit.admit(two, now).unwrap();
        now = now.plus(wait + Duration::from_millis(1));
        limit.admit(one, now).unwrap();
    }

    #[test]
    fn neighbours_in_ipv6_count_as_one() {
        let now = Elapsed::default();
        let mut limit = Limit::new(now);
        let admitted =
            (0..30_u128).filter(|n| limit.admit(Ipv6Addr::from_bits((1 << 64) + n).into(), now).is_ok());
        assert_eq!(admitted.count(), 20);
    }

    proptest! {
        #[test]
        fn never_more_than_the_rates_and_never_much_memory(
            requests in proptest::collection::vec((any::<u32>(), 0_u64..200), 1..2_000),
        ) {
            let mut now = Elapsed::default();
            let mut limit = Limit::new(now);
            let mut admitted = 0_f64;
            for (address, pause) in requests {
                now = now.plus(Duration::from_millis(pause));
                if limit.admit(IpAddr::V4(address.into()), now).is_ok() {
                    admitted += 1.0;
                }
                prop_assert!(limit.addresses.len() <= MAX_ADDRESSES);
                let most = IN_ALL.burst + now.0.as_secs_f64() * IN_ALL.per_second + 1e-6;
                prop_assert!(admitted <= most);
            }
        }
    }
}
