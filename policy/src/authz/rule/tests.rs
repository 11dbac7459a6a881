//! Boolean rules over tests that answer what they are told to.

use super::*;

#[derive(Debug)]
struct Answer(Option<bool>);

impl Test for Answer {
    fn ask(&self, _: &Request<'_>) -> Option<bool> {
        self.0
    }

    fn is_costly(&self) -> bool {
        false
    }
}

fn holds(rule: &Rule<Answer>, unasked: Unasked) -> bool {
    rule.holds(&Request::default(), unasked)
}

fn is(answer: impl Into<Option<bool>>) -> Rule<Answer> {
    Answer(answer.into()).into()
}

#[test]
fn sets_and_negations() {
    let all = Rule::all(vec![is(true), is(false)]).unwrap();
    let one = Rule::one_of(vec![is(false), is(true)]).unwrap();
    for (rule, expected) in [
        (Rule::any(), true),
        (all, false),
        (one, true),
        (is(false).negated().unwrap(), true),
        (Rule::<Answer>::any().negated().unwrap(), false),
    ] {
        assert_eq!(holds(&rule, Unasked::IS_FALSE), expected);
        assert_eq!(holds(&rule, Unasked::GRANTS_NOTHING), expected);
    }
}

#[test]
fn a_test_that_cannot_be_asked_grants_nothing_however_often_it_is_negated() {
    let once = || is(None).negated().unwrap();
    let twice = || once().negated().unwrap();
    let inside = Rule::one_of(vec![is(None), is(false)]).unwrap().negated().unwrap();
    for (rule, refusing) in [(is(None), false), (once(), true), (twice(), false), (inside, true)] {
        assert!(!holds(&rule, Unasked::GRANTS_NOTHING));
        assert_eq!(holds(&rule, Unasked::IS_FALSE), refusing);
    }
}

#[test]
fn rules_are_neither_empty_nor_too_deep() {
    assert_eq!(Rule::<Answer>::all(vec![]).unwrap_err(), RuleError::Empty("rules"));
    assert_eq!(Rule::<Answer>::one_of(vec![]).unwrap_err(), RuleError::Empty("rules"));
    let mut rule = is(true);
    for _ in 1..MAX_DEPTH {
        rule = Rule::all(vec![rule.negated().unwrap()]).unwrap();
    }
    assert!(!holds(&rule, Unasked::IS_FALSE), "99 negations of true");
    assert_eq!(rule.negated().unwrap_err(), RuleError::TooDeep);
}
