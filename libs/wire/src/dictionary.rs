//! What Kubernetes objects have in common, so that a small body needs not say it again.
//!
//! The dictionary is part of the encoding: `dictionary/kubernetes-1.zdict` never changes, and another one would be another
//! encoding and another feature. It was trained on what edges get of typical workloads as a real API server defaults them,
//! without values of Secrets and without certificates (`docs/figures.md` says how, and what it saves).

use std::io::{self, Read};
use std::sync::LazyLock;

use zstd::bulk::Compressor;
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::CParameter;

const KUBERNETES_1: &[u8] = include_bytes!("dictionary/kubernetes-1.zdict");

/// Level of compression, with a dictionary and without.
pub(crate) const LEVEL: i32 = 1;

// Each side makes only the half it needs, once.
static PACKING: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(KUBERNETES_1, LEVEL));
static UNPACKING: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(KUBERNETES_1));

/// One zstd frame that only this dictionary unpacks. It does not name the dictionary: whoever sends it does.
pub(crate) fn compress(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::with_prepared_dictionary(&PACKING)?;
    compressor.set_parameter(CParameter::DictIdFlag(false))?;
    compressor.compress(text)
}

/// The text of such a frame, to be read bit by bit.
pub(crate) fn decompress(data: &[u8]) -> io::Result<impl Read + '_> {
    zstd::Decoder::with_prepared_dictionary(data, &UNPACKING)
}

#[cfg(test)]
mod tests {
    use crate::Version;

    /// Peers of an older release unpack by what it was when they were built.
    #[test]
    fn the_dictionary_is_as_shipped() {
        assert_eq!(Version::of(super::KUBERNETES_1).to_string(), "606e57276711452b30eac305e3739370");
    }
}
