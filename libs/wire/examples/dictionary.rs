//! Whether a zstd dictionary pays: trains one on half of the objects given and packs the other half with and without it.
//!
//! `hack/lab kubectl get pods,configmaps,services,serviceaccounts,nodes,secrets -A -o json |
//!  cargo run --release -p cloudcore-index --example projections |
//!  cargo run --release -p skerry-wire --example dictionary [FILE]`
//!
//! Standard input: objects as they travel, `KIND<tab>JSON` a line. The dictionary is written to FILE where one is named.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary, from_samples};

/// Longest dictionary, in bytes.
const SIZES: [usize; 3] = [4 << 10, 16 << 10, 64 << 10];
/// As bodies are packed.
const LEVEL: i32 = 1;
const ROUNDS: u32 = 20;

/// What packing some objects came to.
#[derive(Debug, Default, Clone, Copy)]
struct Cost {
    bytes: usize,
    packing: Duration,
    unpacking: Duration,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let mut objects: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if let Some((kind, text)) = line.split_once('\t') {
            objects.entry(kind.to_owned()).or_default().push(text.as_bytes().to_vec());
        }
    }
    let half = |odd: usize| {
        objects.iter().flat_map(move |(kind, all)| {
            let mine = all.iter().enumerate().filter(move |(at, _)| at % 2 == odd);
            mine.map(move |(_, text)| (kind.as_str(), text.as_slice()))
        })
    };
    let samples: Vec<&[u8]> = half(0).map(|(_, text)| text).collect();
    let rest: Vec<(&str, &[u8])> = half(1).collect();
    writeln!(out, "{} objects to train with, {} to measure", samples.len(), rest.len())?;
    let plain = measure(&rest, &[])?;
    let chosen = from_samples(&samples, SIZES[1])?;
    for size in SIZES {
        let dictionary = from_samples(&samples, size)?;
        let with = measure(&rest, &dictionary)?;
        writeln!(out, "dictionary of {} bytes:", dictionary.len())?;
        for (kind, (count, length, cost)) in &with {
            let (_, _, before) = plain.get(kind).copied().unwrap_or_default();
            let each = |cost: Cost| cost.bytes / count;
            let micros = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(ROUNDS) / *count as f64;
            writeln!(
                out,
                "  {kind:15} {count:4} × {:5} B: {:5} B without, {:5} B with; packing {:.1} and {:.1} µs, unpacking {:.1} and {:.1} µs",
                length / count,
                each(before),
                each(*cost),
                micros(before.packing),
                micros(cost.packing),
                micros(before.unpacking),
                micros(cost.unpacking),
            )?;
        }
    }
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, chosen)?;
    }
    Ok(())
}

type Costs<'a> = BTreeMap<&'a str, (usize, usize, Cost)>;

/// Packs and unpacks every object. An empty dictionary is none.
fn measure<'a>(objects: &[(&'a str, &[u8])], dictionary: &[u8]) -> std::io::Result<Costs<'a>> {
    let (encoder, decoder) =
        (EncoderDictionary::copy(dictionary, LEVEL), DecoderDictionary::copy(dictionary));
    let (mut packer, mut unpacker) = if dictionary.is_empty() {
        (Compressor::new(LEVEL)?, Decompressor::new()?)
    } else {
        (Compressor::with_prepared_dictionary(&encoder)?, Decompressor::with_prepared_dictionary(&decoder)?)
    };
    let mut costs = Costs::new();
    for (kind, text) in objects {
        let (count, length, cost) = costs.entry(*kind).or_default();
        let begun = Instant::now();
        let mut packed = Vec::new();
        for _ in 0..ROUNDS {
            packed = packer.compress(text)?;
        }
        cost.packing += begun.elapsed();
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            unpacker.decompress(&packed, text.len())?;
        }
        cost.unpacking += begun.elapsed();
        cost.bytes += packed.len();
        *length += text.len();
        *count += 1;
    }
    Ok(costs)
}
