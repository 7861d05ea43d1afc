//! A query as Athena reads it, made into one that DataFusion reads the same way.
//!
//! All of it is done on the syntax tree, in passes that each bridge one difference:
//!
//! | pass | difference |
//! |---|---|
//! | [`fold`] | names, quoted or not, have no case |
//! | [`ctes`] | names of WITH that are those of tables, or stand twice |
//! | [`relations`] | `db.cloudtrail_logs`, event data store ids, names that users give |
//! | [`using`] | the common column of RIGHT and FULL JOIN … USING |
//! | [`hidden`] | columns that `*` does not show give way to others |
//! | [`expressions`] | special forms that are functions here: TRY, IF, EXTRACT, subscripts |
//! | [`comparisons`] | and those that compare: LIKE, BETWEEN, IN |
//! | [`groups`] | parentheses in GROUP BY |
//! | [`intervals`] | intervals of several units |
//! | [`teradata`] | `to_char(t, 'yyyy-mm-dd hh24:mi')` and its like |
//! | [`whole`] | structs shown whole have the members of AWS's table definition |
//! | [`outer`] | members of structs of an outer query |
//! | [`columns`] | what the columns of an answer are called; the same name twice |

use std::collections::{BTreeMap, BTreeSet, HashSet};

use datafusion::sql::sqlparser::ast::Query;

use super::error::SqlError;

mod columns;
mod comparisons;
mod ctes;
mod expressions;
mod fold;
mod groups;
mod hidden;
mod intervals;
mod outer;
mod relations;
mod teradata;
mod using;
mod whole;

pub(super) use columns::Headings;
pub(super) use ctes::free_relations;
pub(super) use relations::named_relations;

/// The names that a query may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The tables and views that are registered.
    pub(super) tables: BTreeSet<String>,
    /// Other names, each with the table that it means.
    pub(super) synonyms: BTreeMap<String, String>,
    /// The columns of all tables.
    pub(super) columns: HashSet<String>,
    /// The table that event data store ids mean.
    pub(super) lake_face: Option<String>,
    /// Tables of which `*` shows only some columns, with these.
    pub(super) stars: BTreeMap<String, Vec<String>>,
    /// The other columns of these tables.
    pub(super) hidden: BTreeMap<String, Vec<String>>,
    /// The columns of views and of tables that queries made.
    pub(super) stored: BTreeMap<String, Vec<String>>,
    /// Tables that the query sees under another face, and the table that has it.
    pub(super) faces: BTreeMap<String, String>,
    /// The names of aggregate functions.
    pub(super) aggregates: HashSet<String>,
}

/// Rewrites `query`, of the text `text`; what its columns are to be called is returned.
pub(super) fn adapt(query: &mut Query, names: &Names, text: &str) -> Result<Headings, SqlError> {
    let spelt = columns::spelt(query);
    fold::fold(query);
    ctes::rename(query, names);
    relations::resolve(query, names, text)?;
    using::write_out(query, names);
    hidden::give_way(query, names);
    expressions::rewrite(query, names, text)?;
    let headings = columns::name(query, spelt, names, text)?;
    whole::narrow(query, names);
    outer::split_paths(query, names);
    Ok(headings)
}
