//! Rows out of the database. Every field is parsed into its noun; a row that does not parse is an error, never skipped.

use crate::{Books, StoreError};
use cloakroom_model::{
    ApprovalRecord, ApproverChange, Cid, CredentialRecord, Guest, Life, Marks, PlaceholderRecord,
    PlaceholderState, Rows, SealedSecret, Signature, Timestamp, WorkloadRecord,
};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// Every row, in id order.
pub(super) fn rows(db: &Connection) -> Result<Rows, StoreError> {
    Ok(Rows {
        credentials: all(db, "SELECT * FROM credential ORDER BY id", credential)?,
        workloads: all(db, "SELECT * FROM workload ORDER BY id", workload)?,
        placeholders: all(db, "SELECT * FROM placeholder ORDER BY id", placeholder)?,
        approvals: all(db, "SELECT * FROM approval ORDER BY id", approval)?,
        approver_changes: all(
            db,
            "SELECT *, sequence AS id FROM approver_change ORDER BY sequence",
            approver_change,
        )?,
    })
}

pub(super) fn books(db: &Connection) -> Result<Books, StoreError> {
    let sql = "SELECT tally, rolled_back FROM books";
    let (tally, rolled_back): (i64, Option<i64>) =
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let unreadable = |error: std::num::TryFromIntError| StoreError::Unusable {
        what: format!("the database says that it knows tally {tally}: {error}"),
        hint:
            "the row was edited outside Cloakroom or the file is damaged: restore cloakroom.db from a backup"
                .into(),
    };
    let time = |millis: i64| u64::try_from(millis).map(Timestamp::from_millis).map_err(unreadable);
    Ok(Books {
        tally: tally.try_into().map_err(unreadable)?,
        rolled_back: rolled_back.map(time).transpose()?,
    })
}

pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    parse: fn(&Fields<'_, '_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut parsed = Vec::new();
    while let Some(row) = rows.next()? {
        parsed.push(parse(&Fields(row))?);
    }
    Ok(parsed)
}

fn credential(row: &Fields<'_, '_>) -> Result<CredentialRecord, StoreError> {
    Ok(CredentialRecord {
        id: row.text("id", |text| text.parse())?,
        name: row.text("name", |text| text.parse())?,
        kind: row.text("kind", |text| text.parse())?,
        destinations: row.json("destinations")?,
        shape: row.json("shape")?,
        generation: row.number("generation")?,
        sealed: SealedSecret(row.plain("sealed")?),
        created: row.time("created")?,
        rotated: row.time("rotated")?,
        removed: row.optional_time("removed")?,
    })
}

fn workload(row: &Fields<'_, '_>) -> Result<WorkloadRecord, StoreError> {
    Ok(WorkloadRecord {
        id: row.text("id", |text| text.parse())?,
        name: row.text("name", |text| text.parse())?,
        key: row.text("key", TryInto::try_into)?,
        marks: Marks {
            certificate: row.optional_text("certificate", TryInto::try_into)?,
            uid: row.optional_number("uid")?,
            guest: guest(row)?,
            networks: row.json("networks")?,
        },
        created: row.time("created")?,
        removed: row.optional_time("removed")?,
    })
}

/// The number and the boot stand in the row together.
fn guest(row: &Fields<'_, '_>) -> Result<Option<Guest>, StoreError> {
    let Some(boot) = row.optional_text("boot", TryInto::try_into)? else { return Ok(None) };
    let cid = Cid::try_from(row.number("cid")?).map_err(|error| row.unreadable("cid", &error))?;
    Ok(Some(Guest { cid, boot }))
}

fn placeholder(row: &Fields<'_, '_>) -> Result<PlaceholderRecord, StoreError> {
    let life = row.life()?;
    Ok(PlaceholderRecord {
        id: row.text("id", |text| text.parse())?,
        credential: row.text("credential", |text| text.parse())?,
        workload: row.text("workload", |text| text.parse())?,
        core: row.text("core", TryInto::try_into)?,
        text: row.text("text", TryInto::try_into)?,
        policy: row.plain("policy")?,
        created: row.time("created")?,
        not_before: row.optional_time("not_before")?,
        expires: row.optional_time("expires")?,
        daily: row.optional_text("daily", |text| text.parse())?,
        holder: row.text("holder", |text| text.parse())?,
        uses: row.optional_number("uses")?,
        used: row.number("used")?,
        state: life.state(),
        on_misuse: row.text("on_misuse", |text| text.parse())?,
        parent: row.optional_text("parent", |text| text.parse())?,
        frozen: life.frozen(),
        end: life.end(),
    })
}

fn approval(row: &Fields<'_, '_>) -> Result<ApprovalRecord, StoreError> {
    Ok(ApprovalRecord {
        id: row.text("id", |text| text.parse())?,
        placeholder: row.text("placeholder", |text| text.parse())?,
        created: row.time("created")?,
        decided: row.optional_time("decided")?,
        signatures: signatures(row)?,
        denied: row.plain("denied")?,
        requester: row.plain("requester")?,
        generation: row.optional_number("generation")?,
        withdrawn: row.optional_time("withdrawn")?,
        expires: row.optional_time("expires")?,
    })
}

fn approver_change(row: &Fields<'_, '_>) -> Result<ApproverChange, StoreError> {
    Ok(ApproverChange {
        sequence: row.number("sequence")?,
        act: row.text("act", |text| text.parse())?,
        name: row.plain("name")?,
        key: row.plain("key")?,
        needed: row.number("needed")?,
        signatures: row.json("signatures")?,
    })
}

/// Those it was granted by, or those gathered so far.
///
/// COMPAT: before several could sign, the column held one signature and not a list.
fn signatures(row: &Fields<'_, '_>) -> Result<Vec<Signature>, StoreError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        One(Signature),
        Several(Vec<Signature>),
    }
    let granted: Option<String> = row.plain("signature")?;
    let gathered: Option<String> = row.plain("gathered")?;
    let field = match (granted, gathered) {
        (None, None) => return Ok(Vec::new()),
        (None, Some(_)) => "gathered",
        (Some(_), _) => "signature",
    };
    Ok(match row.json(field)? {
        Stored::One(signature) => vec![signature],
        Stored::Several(signatures) => signatures,
    })
}

fn state(text: &str) -> Result<PlaceholderState, &'static str> {
    use PlaceholderState::{Active, Denied, Pending, Revoked};
    let known = [Pending, Active, Denied, Revoked].into_iter().find(|state| state.as_str() == text);
    known.ok_or("not a state of a placeholder")
}

/// A row whose fields are fetched by name and parsed with an error that names the row and the field.
pub(super) struct Fields<'row, 'statement>(pub(super) &'row Row<'statement>);

impl Fields<'_, '_> {
    pub(super) fn life(&self) -> Result<Life, StoreError> {
        let state = self.text("state", |text| state(&text))?;
        let end = self.optional_text("ended", |text| text.parse())?;
        Ok(Life::stored(state, self.optional_time("frozen")?, end))
    }

    pub(super) fn plain<T: FromSql>(&self, field: &str) -> Result<T, StoreError> {
        self.0.get(field).map_err(|error| self.unreadable(field, &error))
    }

    pub(super) fn text<T, E: Display>(
        &self,
        field: &str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        parse(self.plain(field)?).map_err(|error| self.unreadable(field, &error))
    }

    fn optional_text<T, E: Display>(
        &self,
        field: &str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Result<Option<T>, StoreError> {
        let present: Option<String> = self.plain(field)?;
        present.map(|_| self.text(field, parse)).transpose()
    }

    fn optional_number(&self, field: &str) -> Result<Option<u32>, StoreError> {
        let present: Option<i64> = self.plain(field)?;
        present.map(|_| self.number(field)).transpose()
    }

    fn json<T: DeserializeOwned>(&self, field: &str) -> Result<T, StoreError> {
        self.text(field, |text| serde_json::from_str(&text))
    }

    pub(super) fn number(&self, field: &str) -> Result<u32, StoreError> {
        let number: i64 = self.plain(field)?;
        u32::try_from(number).map_err(|error| self.unreadable(field, &error))
    }

    pub(super) fn time(&self, field: &str) -> Result<Timestamp, StoreError> {
        let millis: i64 = self.plain(field)?;
        let millis = u64::try_from(millis).map_err(|error| self.unreadable(field, &error))?;
        Ok(Timestamp::from_millis(millis))
    }

    pub(super) fn optional_time(&self, field: &str) -> Result<Option<Timestamp>, StoreError> {
        let present: Option<i64> = self.plain(field)?;
        present.map(|_| self.time(field)).transpose()
    }

    fn unreadable(&self, field: &str, why: &dyn Display) -> StoreError {
        let id = self.0.get::<_, String>("id").unwrap_or_else(|_| "without id".into());
        StoreError::Unusable {
            what: format!("the database holds a row that cannot be read: {id}, field {field}: {why}"),
            hint: "the row was edited outside Cloakroom or the file is damaged: restore cloakroom.db from a backup"
                .into(),
        }
    }
}
