use wippy_registry::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let opts = LoadOptions {
        overrides: args.iter().skip(2).filter(|a| !a.starts_with("S:")).cloned().collect(),
        settings: args
            .iter()
            .skip(2)
            .filter_map(|a| a.strip_prefix("S:"))
            .map(String::from)
            .collect(),
        ..Default::default()
    };
    let p = std::path::Path::new(&args[1]);
    let r = if p.is_dir() {
        Project::load(p, &opts)
    } else {
        Project::from_text(
            "app.yaml",
            &std::fs::read_to_string(p).unwrap(),
            std::path::Path::new("/"),
            &opts,
        )
    };
    match r {
        Ok(p) => {
            print!("{}", p.warnings().render(false));
            for e in p.registry().entries() {
                println!("{} {} requires {:?}", e.id, e.kind(), e.requires);
            }
            println!(
                "start {:?}",
                p.registry().start_order().iter().map(|e| e.id.as_str()).collect::<Vec<_>>()
            );
        }
        Err(d) => print!("{}", d.render(false)),
    }
}
