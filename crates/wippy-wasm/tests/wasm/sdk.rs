//! The types in the C header of `sdk/` are those of the interfaces.

use std::path::Path;

use wit_component::{DecodedWasm, WitPrinter};
use wit_parser::{PackageName, Resolve};

/// The bytes that the header puts into a custom section: `.ascii` lines, escaped for the
/// assembler and then for C.
fn types_of_the_header(header: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in header.lines() {
        let Some(text) = line.trim().strip_prefix("\".ascii \\\"") else { continue };
        let mut text = text.strip_suffix("\\\"\\n\"").unwrap().bytes();
        while let Some(byte) = text.next() {
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            assert_eq!(text.next(), Some(b'\\'));
            let digits = text.by_ref().take(3);
            bytes.push(digits.fold(0, |value, digit| value * 8 + (digit - b'0')));
        }
    }
    bytes
}

/// A package of ours as WIT, without its comments.
fn printed(resolve: &Resolve, namespace: &str) -> String {
    let name = PackageName {
        namespace: "wippy".into(),
        name: namespace.into(),
        version: Some("0.1.0".parse().unwrap()),
    };
    let package = resolve.package_names[&name];
    let mut printer = WitPrinter::default();
    printer.emit_docs(false);
    printer.print(resolve, package, &[]).unwrap();
    printer.output.to_string()
}

#[test]
fn the_header_of_c_has_the_types_of_the_interfaces() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let header = std::fs::read_to_string(root.join("sdk/c/wippy_types.h")).unwrap();
    let DecodedWasm::WitPackage(held, _) =
        wit_component::decode(&types_of_the_header(&header)).unwrap()
    else {
        panic!("the types of a world");
    };
    let mut resolve = Resolve::default();
    resolve.push_path(root.join("sdk/rust/wit")).unwrap();
    for package in ["actor", "process"] {
        let text = printed(&held, package);
        assert!(text.contains("receive: func"), "{text}");
        assert_eq!(text, printed(&resolve, package), "{package}: run guests/build.sh");
    }
}
