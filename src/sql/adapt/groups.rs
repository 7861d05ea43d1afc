//! Parentheses in GROUP BY: `GROUP BY (a, b)` groups by both, `GROUP BY ()` by nothing, and in `CUBE ((a, b), c)` what is
//! in one pair comes and goes together.

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr};

/// The sets that one CUBE may have; each of its members doubles them.
const MOST_IN_CUBE: usize = 10;

/// Takes the parentheses away, and writes out what they mean.
pub(super) fn flatten(group_by: &mut GroupByExpr) {
    let GroupByExpr::Expressions(exprs, _) = group_by else { return };
    *exprs = std::mem::take(exprs).into_iter().flat_map(flat).collect();
}

fn flat(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Tuple(members) => members.into_iter().flat_map(flat).collect(),
        Expr::Nested(inner) => flat(*inner),
        Expr::Rollup(members) if together(&members) => {
            let sets = (0..=members.len()).rev().map(|length| members[..length].concat());
            vec![Expr::GroupingSets(sets.collect())]
        }
        Expr::Cube(members) if together(&members) && members.len() <= MOST_IN_CUBE => {
            let sets = (0..1_usize << members.len()).rev().map(|chosen| {
                let is_chosen = |at: &usize| chosen >> (members.len() - 1 - at) & 1 == 1;
                (0..members.len()).filter(is_chosen).flat_map(|at| members[at].clone()).collect()
            });
            vec![Expr::GroupingSets(sets.collect())]
        }
        other => vec![other],
    }
}

/// Whether some columns come and go together.
fn together(members: &[Vec<Expr>]) -> bool {
    members.iter().any(|member| member.len() != 1)
}
