//! Installs the schema and brings it to the version of this program.

use super::connect::Link;
use crate::FleetError;

const SCHEMA: &str = include_str!("../../../sql/fleet.sql");

/// The version of the schema that this program needs.
const VERSION: i32 = 1;

impl Link {
    pub(super) async fn migrate(&self) -> Result<(), FleetError> {
        let found = self.version().await?;
        if found == Some(VERSION) {
            return Ok(());
        }
        if let Some(later) = found.filter(|found| *found > VERSION) {
            return Err(FleetError::Database(format!(
                "the schema `fleet` has version {later}, and this program needs {VERSION}: use a later program"
            )));
        }
        // The first of several programs migrates. The others wait for the lock, and find the version.
        let mut script = String::from(
            "begin; set local statement_timeout = 0; set local lock_timeout = 0; \
             select pg_advisory_xact_lock(7331, 0);\n",
        );
        let sections = sections(SCHEMA, found.unwrap_or(0));
        script.push_str(&guarded(&sections));
        script.push_str("commit;");
        match self.batch(&script).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let _ = self.batch("rollback").await;
                // Another program was faster.
                if self.version().await? == Some(VERSION) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
        }
    }

    async fn version(&self) -> Result<Option<i32>, FleetError> {
        let there = self
            .one("select to_regclass('fleet.version') is not null", &[])
            .await?;
        if !there.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        let row = self
            .one("select max(version) from fleet.version", &[])
            .await?;
        Ok(row.try_get(0)?)
    }
}

/// The sections of the file above `version`, and that of the functions.
fn sections(schema: &str, version: i32) -> String {
    let mut script = String::new();
    for section in schema.split("\n--@ ").skip(1) {
        let (name, sql) = section.split_once('\n').unwrap_or((section, ""));
        let number = name
            .strip_prefix("version ")
            .and_then(|n| n.trim().parse::<i32>().ok());
        if number.is_none_or(|number| number > version) {
            script.push_str(sql);
            script.push('\n');
        }
    }
    script
}

fn guarded(sections: &str) -> String {
    format!("{sections}\nupdate fleet.version set version = {VERSION};\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_gets_all_sections_and_one_of_this_version_the_functions() {
        let all = sections(SCHEMA, 0);
        assert!(all.contains("create table fleet.chunk") && all.contains("function fleet.claim"));
        let functions = sections(SCHEMA, VERSION);
        assert!(!functions.contains("create table fleet.chunk"));
        assert!(functions.contains("function fleet.claim"));
        let highest = SCHEMA
            .lines()
            .filter_map(|line| line.strip_prefix("--@ version "));
        let highest = highest.filter_map(|n| n.parse().ok()).max();
        assert_eq!(highest, Some(VERSION));
    }
}
