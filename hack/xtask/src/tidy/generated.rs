//! What is generated is what would be generated now.

#[test]
fn generated_code_is_fresh() {
    if let Err(error) = crate::codegen::check(&crate::tree::root()) {
        panic!("{error:#}");
    }
}
