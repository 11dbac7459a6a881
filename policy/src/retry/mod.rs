//! retries
mod budget;
pub use self::budget::RetryBudget;
