//! What stands for tokens in a static program: it cannot load a module, and says so.

use crate::settings::TokenSettings;
use cloakroom_model::pkcs11::{Fault, Question};
use zeroize::Zeroizing;

pub(crate) fn answer(
    _settings: &TokenSettings,
    _pin: &[u8],
    _question: &Question<'_>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    Err(Fault::Static)
}
