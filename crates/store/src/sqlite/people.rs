//! Members, sessions and API tokens.

use super::read::{self, Fields};
use super::worker::After;
use super::{SqliteStore, write};
use crate::{BoxFuture, People, StoreError};
use cloakroom_model::{
    ApiTokenId, ApiTokenRecord, KeyedHash, MemberId, MemberRecord, Roles, SessionId, SessionRecord, Timestamp,
};
use rusqlite::{Connection, Params, params};

impl People for SqliteStore {
    fn members(&self) -> BoxFuture<'_, Result<Vec<MemberRecord>, StoreError>> {
        self.reader.submit(After::Nothing, |db| read::all(db, "SELECT * FROM member ORDER BY id", member))
    }

    fn add_member(&self, row: MemberRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| add_member(db, &row))
    }

    fn remove_member(&self, id: MemberId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| remove_member(db, id, at))
    }

    fn session(&self, hash: KeyedHash) -> BoxFuture<'_, Result<Option<SessionRecord>, StoreError>> {
        let sql = "SELECT * FROM session WHERE hash = ?1";
        self.reader.submit(After::Nothing, move |db| found(db, sql, hash, session))
    }

    fn sessions(&self) -> BoxFuture<'_, Result<Vec<SessionRecord>, StoreError>> {
        self.reader.submit(After::Nothing, |db| read::all(db, "SELECT * FROM session ORDER BY id", session))
    }

    fn add_session(&self, row: SessionRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| add_session(db, &row))
    }

    fn use_session(&self, id: SessionId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        let sql = "UPDATE session SET used = max(used, ?2) WHERE id = ?1";
        self.writer.submit(After::Nothing, move |db| {
            write::changed(db, sql, params![id.to_string(), write::millis(at)]).map(drop)
        })
    }

    fn end_session(&self, id: SessionId) -> BoxFuture<'_, Result<(), StoreError>> {
        let sql = "DELETE FROM session WHERE id = ?1";
        self.writer.submit(After::Nothing, move |db| one(db, sql, "session", id, [id.to_string()]))
    }

    fn api_token(&self, hash: KeyedHash) -> BoxFuture<'_, Result<Option<ApiTokenRecord>, StoreError>> {
        let sql = "SELECT * FROM api_token WHERE hash = ?1";
        self.reader.submit(After::Nothing, move |db| found(db, sql, hash, api_token))
    }

    fn api_tokens(&self) -> BoxFuture<'_, Result<Vec<ApiTokenRecord>, StoreError>> {
        let sql = "SELECT * FROM api_token ORDER BY id";
        self.reader.submit(After::Nothing, move |db| read::all(db, sql, api_token))
    }

    fn add_api_token(&self, row: ApiTokenRecord) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.submit(After::Nothing, move |db| add_api_token(db, &row))
    }

    fn revoke_api_token(&self, id: ApiTokenId, at: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        let sql = "UPDATE api_token SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL";
        self.writer.submit(After::Nothing, move |db| {
            one(db, sql, "API token", id, params![id.to_string(), write::millis(at)])
        })
    }
}

fn add_member(db: &Connection, row: &MemberRecord) -> Result<(), StoreError> {
    let sql = "INSERT INTO member (id, name, roles, key, created) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![
        row.id.to_string(),
        row.name.as_str(),
        write::json(&row.roles)?,
        row.key,
        write::millis(row.created)
    ];
    write::insert(db, sql, "member", values)
}

fn remove_member(db: &Connection, id: MemberId, at: Timestamp) -> Result<(), StoreError> {
    let (of, at) = (id.to_string(), write::millis(at));
    let sql = "UPDATE member SET removed = ?2 WHERE id = ?1 AND removed IS NULL";
    one(db, sql, "member", id, params![of, at])?;
    write::changed(db, "DELETE FROM session WHERE key = (SELECT key FROM member WHERE id = ?1)", [&of])?;
    let sql = "UPDATE api_token SET revoked = ?2
               WHERE owner_key = (SELECT key FROM member WHERE id = ?1) AND revoked IS NULL";
    write::changed(db, sql, params![of, at]).map(drop)
}

fn add_session(db: &Connection, row: &SessionRecord) -> Result<(), StoreError> {
    write::changed(db, "DELETE FROM session WHERE ends <= ?1", [write::millis(row.begun)])?;
    let sql = "INSERT INTO session (id, hash, half, name, key, roles, begun, used, ends)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let values = params![
        row.id.to_string(),
        row.hash.to_string(),
        row.half.to_string(),
        row.name,
        row.key,
        write::json(&row.roles)?,
        write::millis(row.begun),
        write::millis(row.used),
        write::millis(row.ends),
    ];
    write::insert(db, sql, "session", values)
}

fn add_api_token(db: &Connection, row: &ApiTokenRecord) -> Result<(), StoreError> {
    let sql = "INSERT INTO api_token (id, name, hash, roles, owner, owner_key, created, expires)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        row.id.to_string(),
        row.name.as_str(),
        row.hash.to_string(),
        write::json(&row.roles)?,
        row.owner,
        row.owner_key,
        write::millis(row.created),
        write::millis(row.expires),
    ];
    write::insert(db, sql, "API token", values)
}

fn one(
    db: &Connection,
    sql: &str,
    what: &'static str,
    id: impl ToString,
    values: impl Params,
) -> Result<(), StoreError> {
    match write::changed(db, sql, values)? {
        0 => Err(StoreError::missing(what, id)),
        _ => Ok(()),
    }
}

fn found<T>(
    db: &Connection,
    sql: &str,
    hash: KeyedHash,
    parse: fn(&Fields<'_, '_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([hash.to_string()])?;
    rows.next()?.map(|row| parse(&Fields(row))).transpose()
}

fn roles(row: &Fields<'_, '_>) -> Result<Roles, StoreError> {
    row.text("roles", |text| serde_json::from_str(&text))
}

fn member(row: &Fields<'_, '_>) -> Result<MemberRecord, StoreError> {
    Ok(MemberRecord {
        id: row.text("id", |text| text.parse())?,
        name: row.text("name", |text| text.parse())?,
        roles: roles(row)?,
        key: row.plain("key")?,
        created: row.time("created")?,
        removed: row.optional_time("removed")?,
    })
}

fn session(row: &Fields<'_, '_>) -> Result<SessionRecord, StoreError> {
    Ok(SessionRecord {
        id: row.text("id", |text| text.parse())?,
        hash: row.text("hash", TryInto::try_into)?,
        half: row.text("half", TryInto::try_into)?,
        name: row.plain("name")?,
        key: row.plain("key")?,
        roles: roles(row)?,
        begun: row.time("begun")?,
        used: row.time("used")?,
        ends: row.time("ends")?,
    })
}

fn api_token(row: &Fields<'_, '_>) -> Result<ApiTokenRecord, StoreError> {
    Ok(ApiTokenRecord {
        id: row.text("id", |text| text.parse())?,
        name: row.text("name", |text| text.parse())?,
        hash: row.text("hash", TryInto::try_into)?,
        roles: roles(row)?,
        owner: row.plain("owner")?,
        owner_key: row.plain("owner_key")?,
        created: row.time("created")?,
        expires: row.time("expires")?,
        revoked: row.optional_time("revoked")?,
    })
}
