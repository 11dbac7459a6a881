//! A share of requests. (envoy: type.v3.FractionalPercent)
//!
//! The random value is an argument. A caller that asks several fractions about one request decides
//! whether they share it: routes do, so that a request is either canary on every look-up or on none.

/// `numerator` of `denominator` requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    numerator: u32,
    denominator: Denominator,
}

/// What a [`Fraction`] is a fraction of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denominator {
    /// 100
    #[default]
    Hundred,
    /// 10,000
    TenThousand,
    /// 1,000,000
    Million,
}

impl Fraction {
    /// A numerator above the denominator means every request.
    #[must_use]
    pub const fn new(numerator: u32, denominator: Denominator) -> Self {
        Self { numerator, denominator }
    }

    /// The share with a smaller numerator, if `numerator` is smaller.
    #[must_use]
    pub const fn at_most(self, numerator: u32) -> Self {
        if numerator < self.numerator { Self { numerator, ..self } } else { self }
    }

    /// True for the requests whose random value falls into the share.
    #[must_use]
    pub const fn holds(self, random: u64) -> bool {
        let share = match self.denominator {
            Denominator::Hundred => random % 100,
            Denominator::TenThousand => random % 10_000,
            Denominator::Million => random % 1_000_000,
        };
        share < self.numerator as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_for_its_share_of_the_residues() {
        for (numerator, denominator, of) in [
            (0, Denominator::Hundred, 100),
            (1, Denominator::Hundred, 100),
            (100, Denominator::Hundred, 100),
            (2500, Denominator::TenThousand, 10_000),
            (3, Denominator::Million, 1_000_000),
        ] {
            let fraction = Fraction::new(numerator, denominator);
            let held = (7 * of..8 * of).filter(|random| fraction.holds(*random)).count();
            assert_eq!(held, numerator as usize, "{fraction:?}");
        }
        assert!(Fraction::new(200, Denominator::Hundred).holds(u64::MAX));
        let half = Fraction::new(50, Denominator::Hundred);
        assert_eq!(half.at_most(20), Fraction::new(20, Denominator::Hundred));
        assert_eq!(half.at_most(80), half);
    }
}
