//! Reads `--input FILE`, a CSV file with the columns date, region, product, quantity and
//! price in cents; writes the totals of each region to `/output/summary.json`, or to
//! `/output/summary.csv` if the variable OUTPUT_FORMAT is `csv`.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

#[derive(Default)]
struct Totals {
    orders: u64,
    units: u64,
    cents: u64,
}

/// Does the job; what it returns says what has been done.
pub fn run() -> Result<String, String> {
    let mut args = env::args().skip(1);
    let mut input = None;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--input" => input = args.next(),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    let input = input.ok_or("usage: --input FILE")?;
    let format = env::var("OUTPUT_FORMAT").unwrap_or_else(|_| "json".to_owned());
    let (rows, regions) = read(&input)?;
    let output = format!("/output/summary.{format}");
    let mut text = Vec::new();
    match format.as_str() {
        "json" => json(&regions, &mut text),
        "csv" => csv(&regions, &mut text),
        _ => return Err(format!("OUTPUT_FORMAT={format}: it may be json or csv")),
    }
    .map_err(|error| error.to_string())?;
    let file = File::create(&output).map_err(|error| format!("{output}: {error}"))?;
    BufWriter::new(file).write_all(&text).map_err(|error| format!("{output}: {error}"))?;
    Ok(format!("{rows} rows of {input}: {} regions in {output}", regions.len()))
}

fn read(input: &str) -> Result<(usize, BTreeMap<String, Totals>), String> {
    let file = File::open(input).map_err(|error| format!("{input}: {error}"))?;
    let mut regions: BTreeMap<String, Totals> = BTreeMap::new();
    let mut rows = 0;
    for (number, line) in BufReader::new(file).lines().enumerate().skip(1) {
        let line = line.map_err(|error| format!("{input}: {error}"))?;
        let wrong = || format!("{input}:{}: not date,region,product,quantity,cents", number + 1);
        let columns: Vec<&str> = line.split(',').collect();
        let [_, region, _, quantity, cents] = columns[..] else { return Err(wrong()) };
        let quantity: u64 = quantity.parse().map_err(|_| wrong())?;
        let cents: u64 = cents.parse().map_err(|_| wrong())?;
        let totals = regions.entry(region.to_owned()).or_default();
        totals.orders += 1;
        totals.units += quantity;
        totals.cents += quantity * cents;
        rows += 1;
    }
    Ok((rows, regions))
}

fn json(regions: &BTreeMap<String, Totals>, text: &mut Vec<u8>) -> std::io::Result<()> {
    let mut comma = "";
    write!(text, "{{")?;
    for (region, Totals { orders, units, cents }) in regions {
        write!(text, "{comma}\n  \"{region}\": ")?;
        write!(text, "{{\"orders\": {orders}, \"units\": {units}, \"cents\": {cents}}}")?;
        comma = ",";
    }
    writeln!(text, "\n}}")
}

fn csv(regions: &BTreeMap<String, Totals>, text: &mut Vec<u8>) -> std::io::Result<()> {
    writeln!(text, "region,orders,units,cents")?;
    for (region, Totals { orders, units, cents }) in regions {
        writeln!(text, "{region},{orders},{units},{cents}")?;
    }
    Ok(())
}
