use super::load;
#[test]
fn x() {
    let _ = load("");
}
