//! Tests of the testbed itself. They need root and what `hack/lib/bootstrap.sh` installs; `hack/test unit` runs them.
//! Each brings up a lab of its own, so they may run side by side.

#![expect(clippy::expect_used, reason = "a helper of a test ends the test")]

mod testbed;
