//! stub
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct DemoError;
/// x
/// # Errors
pub fn run() -> Result<(), DemoError> {
    Err(DemoError)
}
