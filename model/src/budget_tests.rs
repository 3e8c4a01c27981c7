use super::*;

#[test]
fn a_budget_is_told_in_words() {
    let budget = Budget { changes: UNLIMITED, crashes: 2, ..NOTHING };
    assert_eq!(budget.to_string(), "changes: any, deaths: 2");
    assert_eq!(NOTHING.to_string(), "");
}

#[test]
fn what_has_no_end_is_not_spent() {
    let (mut some, mut any) = (2, UNLIMITED);
    spend(&mut some);
    spend(&mut any);
    assert_eq!((some, any), (1, UNLIMITED));
}
