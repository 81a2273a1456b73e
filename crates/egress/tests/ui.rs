//! Programs that must not compile: every wrong order of the stages, and every way to a secret from outside.

#[test]
fn the_wrong_order_and_the_way_to_a_secret_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
