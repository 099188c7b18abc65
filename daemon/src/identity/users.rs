//! Accounts: register, log in, look up. An e-mail address is one account whatever its letter case.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Audience, Identity, Issued};
use crate::clock;
use crate::config::Registration;
use crate::server::problem::{Code, Problem};
use crate::store::record::{ApiKey, EmailOwner, User};
use crate::store::{Rows, WriteTx, tables};

const MAX_EMAIL_LEN: usize = 254;
const MIN_PASSWORD_CHARS: usize = 8;
const MAX_PASSWORD_CHARS: usize = 256;

impl Identity {
    /// Creates an account.
    pub(crate) async fn register(
        &self,
        email: String,
        password: Zeroizing<String>,
    ) -> Result<(Uuid, User), Problem> {
        let email_key = email_key(&email)?;
        check_password(&password)?;
        let (mode, taken) = (self.registration, email_key.clone());
        // Refuse before spending a hash; the write below decides.
        self.store.read::<_, Problem, _>(move |tx| may_register(tx, mode, &taken)).await?;
        let password_hash = self.passwords.hash(password).await?;
        let user = User {
            email,
            password_hash,
            is_active: true,
            created_at_ms: clock::now_ms(),
            api_key: new_api_key()?,
        };
        let id = Uuid::now_v7();
        self.store
            .write(move |tx| {
                may_register(tx, mode, &email_key)?;
                put_user(tx, id, &email_key, &user)?;
                Ok((id, user))
            })
            .await
    }

    /// Checks e-mail and password and answers with a login token.
    pub(crate) async fn login(
        &self,
        email: &str,
        password: Zeroizing<String>,
        from: IpAddr,
    ) -> Result<Issued, Problem> {
        let account = email.trim().to_lowercase();
        let address = from.to_string();
        let waits = [self.by_account.wait_secs(&account), self.by_address.wait_secs(&address)];
        if let Some(secs) = waits.into_iter().flatten().max() {
            let message = format!("too many failed logins; wait {secs} seconds");
            return Err(Problem::new(Code::TooManyAttempts, message).retry_after(secs));
        }
        let key = account.clone();
        let found = self.store.read::<_, Problem, _>(move |tx| find_by_email(tx, &key)).await?;
        let active = found.filter(|(_, user)| user.is_active);
        let hash = active.as_ref().map(|(_, user)| user.password_hash.clone());
        let fits = self.passwords.fits(password, hash).await?;
        match active {
            Some((id, _)) if fits => {
                self.by_account.succeeded(&account);
                self.tokens.issue_login(id, self.login_ttl_secs).await
            }
            _ => {
                self.by_account.failed(account);
                self.by_address.failed(address);
                Err(Problem::new(Code::InvalidCredentials, "e-mail or password is wrong; check both"))
            }
        }
    }

    /// The user with an e-mail address, if there is one.
    pub(crate) async fn find(&self, email: &str) -> Result<Option<Uuid>, Problem> {
        let key = email_key(email)?;
        let found = self.store.read::<_, Problem, _>(move |tx| find_by_email(tx, &key)).await?;
        Ok(found.map(|(id, _)| id))
    }

    /// The account behind an id.
    pub(crate) async fn user(&self, id: Uuid) -> Result<User, Problem> {
        let found = self.store.read::<_, Problem, _>(move |tx| Ok(tx.get(&tables::USERS, id.as_u128())?));
        found.await?.ok_or_else(|| Problem::not_found("user"))
    }

    /// Trades a login token for an access token of one audience.
    pub(crate) async fn exchange(&self, login_token: &str, audience: Audience) -> Result<Issued, Problem> {
        let verified = self.tokens.verify(login_token).await?;
        if !verified.is_login() {
            let message = "subject_token must be a login token from /v1/auth/login";
            return Err(Problem::new(Code::InvalidToken, message));
        }
        self.tokens.issue_access(verified.user, audience, self.access_ttl_secs)
    }
}

fn may_register(tx: &impl Rows, mode: Registration, email_key: &str) -> Result<(), Problem> {
    let first = tx.last(&tables::USERS, 0..=u128::MAX, |_, _| ())?.is_none();
    if mode == Registration::Closed || (mode == Registration::FirstUserOnly && !first) {
        let message = "this server takes no new users; ask its operator to set NACRE_REGISTRATION=open";
        return Err(Problem::new(Code::RegistrationClosed, message));
    }
    match tx.get(&tables::USERS_BY_EMAIL, email_key)? {
        None => Ok(()),
        Some(_) => {
            Err(Problem::new(Code::EmailTaken, "this e-mail address has an account; log in, or use another"))
        }
    }
}

fn put_user(tx: &WriteTx, id: Uuid, email_key: &str, user: &User) -> Result<(), Problem> {
    let owner = id.as_u128();
    tx.put(&tables::USERS, owner, user)?;
    tx.put(&tables::USERS_BY_EMAIL, email_key, &EmailOwner { user: owner })?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, user.api_key.as_bytes()).as_ref());
    tx.put(&tables::API_KEYS, hash, &ApiKey { user: owner })?;
    Ok(())
}

fn find_by_email(tx: &impl Rows, email_key: &str) -> Result<Option<(Uuid, User)>, Problem> {
    let Some(EmailOwner { user }) = tx.get(&tables::USERS_BY_EMAIL, email_key)? else { return Ok(None) };
    Ok(tx.get(&tables::USERS, user)?.map(|row| (Uuid::from_u128(user), row)))
}

/// The address in the form that makes it unique, if it can be one at all.
fn email_key(email: &str) -> Result<String, Problem> {
    let fail = || Problem::field("email", "email must be an address such as ada@example.org");
    let (local, domain) = email.rsplit_once('@').ok_or_else(fail)?;
    let label_ok = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && !local.chars().any(|c| c.is_whitespace() || c.is_control() || "()<>[]:;,@\\\"".contains(c));
    if email.len() > MAX_EMAIL_LEN || !local_ok || !domain.split('.').all(label_ok) {
        return Err(fail());
    }
    Ok(email.to_lowercase())
}

fn check_password(password: &str) -> Result<(), Problem> {
    let chars = password.chars().count();
    if (MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&chars) {
        return Ok(());
    }
    let message = format!("password must have {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters");
    Err(Problem::field("password", message))
}

fn new_api_key() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Problem::internal(&"the system gave no randomness"))?;
    Ok(format!("cla_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{check_password, email_key};

    #[test]
    fn addresses_are_one_whatever_their_case_and_nonsense_is_refused() {
        assert_eq!(email_key("Ada@Example.org").unwrap(), "ada@example.org");
        assert!(email_key("ada@localhost").is_ok());
        for bad in
            ["", "ada", "@x.org", "ada@", "a b@x.org", "ada@x..org", "ada@-x.org", "a@b@c.org", "a\n@b.c"]
        {
            assert!(email_key(bad).is_err(), "{bad:?}");
        }
        assert!(email_key(&format!("{}@x.org", "a".repeat(300))).is_err());
    }

    #[test]
    fn passwords_have_8_to_256_characters() {
        for (length, good) in [(7, false), (8, true), (256, true), (257, false)] {
            assert_eq!(check_password(&"é".repeat(length)).is_ok(), good, "{length}");
        }
    }
}
