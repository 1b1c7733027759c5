fn main() -> anyhow::Result<()> {
    let runner = sim::Runner::new()?;
    let seed: u64 = std::env::args().nth(1).unwrap_or_default().parse()?;
    println!("{:?}", runner.run(seed, None, true)?);
    Ok(())
}
