//! The database's settings, which stand in the manifest: a setting of one's own may hold a key (`app.jwt_secret`). Where
//! the files are encrypted, they are as well.

use std::io::{self, Read, Write};

use super::failure::RepositoryError;
use super::identities::Identities;
use super::recipients::Recipients;
use crate::backup::manifest::Manifest;
use crate::postgres::schema::hex;

/// Takes them out of what everybody can read, if somebody is to be the only one who can.
///
/// # Errors
/// The encryption's.
pub(super) fn hide(manifest: &mut Manifest, recipients: &Recipients) -> io::Result<()> {
    if recipients.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_vec(&manifest.surroundings.settings)?;
    let mut sealed = Vec::new();
    let mut writer = recipients.encryptor().map_err(io::Error::other)?.wrap_output(&mut sealed)?;
    writer.write_all(&text)?;
    writer.finish()?;
    manifest.encrypted_settings = Some(hex(&sealed));
    manifest.surroundings.settings.clear();
    Ok(())
}

/// Puts them back.
///
/// # Errors
/// [`RepositoryError::WrongIdentity`], [`RepositoryError::Damaged`] when nobody could read them.
pub(super) fn show(manifest: &mut Manifest, identities: &Identities, place: &str) -> Result<(), RepositoryError> {
    let Some(sealed) = manifest.encrypted_settings.take() else { return Ok(()) };
    let damaged = |reason: String| RepositoryError::Damaged {
        place: place.into(),
        damage: vec![format!("its settings cannot be decrypted: {reason}")],
    };
    let sealed = unhex(&sealed).ok_or_else(|| damaged("they are not hexadecimal".into()))?;
    let plain = age::Decryptor::new(&*sealed).and_then(|sealed| sealed.decrypt(identities.all()));
    let mut plain = plain.map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => {
            RepositoryError::WrongIdentity { place: place.into(), file: identities.file.clone() }
        }
        error => damaged(error.to_string()),
    })?;
    let mut text = Vec::new();
    plain.read_to_end(&mut text).map_err(|error| damaged(error.to_string()))?;
    manifest.surroundings.settings = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hexadecimal_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        }

        #[test]
        fn anything_else_is_none(text in "[0-9a-f]{1,5}[g-zé]") {
            prop_assert_eq!(unhex(&text), None);
        }
    }
}
