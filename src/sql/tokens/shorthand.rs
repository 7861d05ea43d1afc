//! Short forms of Athena's SQL that the parser does not know, written out: `VALUES 1, 2`, `TABLE t`,
//! `= ANY (VALUES 1, 2)`, `GROUP BY ALL a` and `GROUP BY DISTINCT a`.

use datafusion::sql::sqlparser::keywords::Keyword as K;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

/// The words with every short form written out.
pub(super) fn write_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let short = |token: &TokenWithSpan| matches!(keyword(token), Some(K::VALUES | K::TABLE | K::GROUP));
    if !tokens.iter().any(short) {
        return tokens;
    }
    let mut written = Writer { tokens: &tokens, out: Vec::with_capacity(tokens.len() + 8) };
    let mut at = 0;
    while at < tokens.len() {
        at = written.one(at);
    }
    written.out
}

struct Writer<'a> {
    tokens: &'a [TokenWithSpan],
    out: Vec<TokenWithSpan>,
}

impl Writer<'_> {
    /// Writes the word at a place, and whatever belongs to its short form; where to go on is returned.
    fn one(&mut self, at: usize) -> usize {
        let token = &self.tokens[at];
        match keyword(token) {
            Some(K::VALUES) if self.begins_query(at) => {
                let compared = self.is_compared(at);
                if compared {
                    self.select_all_from(token.span);
                    self.out.push(TokenWithSpan::new(Token::LParen, token.span));
                }
                self.out.push(token.clone());
                let end = self.rows(at + 1);
                if compared {
                    self.out.push(TokenWithSpan::new(Token::RParen, token.span));
                }
                end
            }
            Some(K::TABLE) if self.begins_query(at) => {
                self.select_all_from(token.span);
                at + 1
            }
            Some(K::BY) if self.before(at).is_some_and(|before| keyword(before) == Some(K::GROUP)) => {
                self.out.push(token.clone());
                self.behind_quantifier(at + 1)
            }
            _ => {
                self.out.push(token.clone());
                at + 1
            }
        }
    }

    fn select_all_from(&mut self, span: Span) {
        let select = [word("SELECT", K::SELECT), Token::Mul, word("FROM", K::FROM)];
        self.out.extend(select.map(|token| TokenWithSpan::new(token, span)));
    }

    /// Whether a query is what ANY, ALL or SOME compares with: there the parser looks for SELECT.
    fn is_compared(&self, at: usize) -> bool {
        let mut before = self.tokens[..at].iter().rev().filter(|token| !is_blank(token));
        let in_parentheses = before.next().is_some_and(|token| token.token == Token::LParen);
        in_parentheses && matches!(before.next().and_then(keyword), Some(K::ANY | K::ALL | K::SOME))
    }

    /// Whether a query may begin at a word, which is followed by what can be its first value or name.
    fn begins_query(&self, at: usize) -> bool {
        let before = match self.before(at) {
            None => true,
            Some(before) => {
                // Behind a parenthesis that closes, the main query of WITH begins.
                let is_with = |token: &TokenWithSpan| keyword(token) == Some(K::WITH);
                before.token == Token::LParen
                    || before.token == Token::SemiColon
                    || (before.token == Token::RParen && self.tokens[..at].iter().any(is_with))
                    || self.is_inserted(at)
                    || matches!(
                        keyword(before),
                        Some(K::UNION | K::INTERSECT | K::EXCEPT | K::ALL | K::DISTINCT | K::AS | K::EXPLAIN)
                    )
            }
        };
        let follows = match self.after(at + 1).map(|at| &self.tokens[at]) {
            None => false,
            Some(next) if keyword(&self.tokens[at]) == Some(K::TABLE) => {
                matches!(&next.token, Token::Word(word) if !is_reserved(word))
            }
            Some(next) => match &next.token {
                Token::Word(word) => {
                    word.quote_style.is_some() || begins_value(word.keyword) || self.is_relation(at)
                }
                Token::Number(..) | Token::SingleQuotedString(_) | Token::Minus | Token::LParen => true,
                _ => false,
            },
        };
        before && follows
    }

    /// Whether a word begins what INSERT INTO a table puts there: it follows the table's name or its columns.
    fn is_inserted(&self, at: usize) -> bool {
        let inserts = self.tokens[..at].iter().any(|token| keyword(token) == Some(K::INSERT));
        let name =
            self.before(at).is_some_and(|before| matches!(before.token, Token::Word(_) | Token::RParen));
        inserts && name && keyword(&self.tokens[at]) == Some(K::VALUES)
    }

    /// Whether a word stands in the parentheses of a relation: `FROM (VALUES …`.
    fn is_relation(&self, at: usize) -> bool {
        let mut before = self.tokens[..at].iter().rev().filter(|token| !is_blank(token));
        let in_parentheses = before.next().is_some_and(|token| token.token == Token::LParen);
        in_parentheses && matches!(before.next().and_then(keyword), Some(K::FROM | K::JOIN))
    }

    /// Writes the rows of VALUES, each in parentheses of its own.
    fn rows(&mut self, from: usize) -> usize {
        let mut start = from;
        let mut depth = 0_usize;
        let mut at = from;
        while at < self.tokens.len() {
            let token = &self.tokens[at];
            match &token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket if depth > 0 => depth -= 1,
                Token::Comma if depth == 0 => {
                    self.row(start, at);
                    self.out.push(token.clone());
                    start = at + 1;
                }
                Token::RParen | Token::SemiColon | Token::EOF => break,
                _ if depth == 0 && keyword(token).is_some_and(ends_rows) => break,
                _ => {}
            }
            at += 1;
        }
        self.row(start, at);
        at
    }

    fn row(&mut self, start: usize, end: usize) {
        let Some(first) = self.after(start).filter(|first| *first < end) else {
            self.out.extend_from_slice(&self.tokens[start..end]);
            return;
        };
        let mut last = end - 1;
        while is_blank(&self.tokens[last]) {
            last -= 1;
        }
        let row = &self.tokens[first..=last];
        if closes_at(row) == Some(row.len() - 1) {
            self.out.extend_from_slice(row);
        } else {
            let (open, close) = (row[0].span.start, row[row.len() - 1].span.end);
            self.out.push(TokenWithSpan::new(Token::LParen, Span::new(open, open)));
            self.out.extend_from_slice(row);
            self.out.push(TokenWithSpan::new(Token::RParen, Span::new(close, close)));
        }
        self.out.extend_from_slice(&self.tokens[last + 1..end]);
    }

    /// Leaves out ALL or DISTINCT behind GROUP BY: they tell apart only grouping sets that are there twice.
    fn behind_quantifier(&mut self, from: usize) -> usize {
        let Some(at) = self.after(from) else { return from };
        let is_quantifier = matches!(keyword(&self.tokens[at]), Some(K::ALL | K::DISTINCT));
        let Some(next) = self.after(at + 1).filter(|_| is_quantifier).map(|next| &self.tokens[next]) else {
            return from;
        };
        let nothing_follows = matches!(next.token, Token::EOF | Token::SemiColon | Token::RParen)
            || keyword(next).is_some_and(|keyword| ends_rows(keyword) || keyword == K::HAVING);
        let sets = matches!(keyword(next), Some(K::GROUPING | K::CUBE | K::ROLLUP));
        if nothing_follows || (sets && keyword(&self.tokens[at]) == Some(K::DISTINCT)) {
            return from;
        }
        self.out.extend_from_slice(&self.tokens[from..at]);
        at + 1
    }

    /// The word before a place that is neither blank nor a comment.
    fn before(&self, at: usize) -> Option<&TokenWithSpan> {
        self.tokens[..at].iter().rev().find(|token| !is_blank(token))
    }

    /// The place of the first word from a place on that is neither blank nor a comment.
    fn after(&self, at: usize) -> Option<usize> {
        (at..self.tokens.len()).find(|at| !is_blank(&self.tokens[*at]))
    }
}

fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

fn keyword(token: &TokenWithSpan) -> Option<K> {
    match &token.token {
        Token::Word(Word { quote_style: None, keyword, .. }) => Some(*keyword),
        _ => None,
    }
}

fn word(value: &str, keyword: K) -> Token {
    Token::Word(Word { value: value.to_owned(), quote_style: None, keyword })
}

/// Where the parenthesis closes with which a row begins.
fn closes_at(row: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in row.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then_some(at);
        }
    }
    None
}

fn begins_value(keyword: K) -> bool {
    matches!(
        keyword,
        K::ARRAY
            | K::CASE
            | K::CAST
            | K::DATE
            | K::DECIMAL
            | K::DOUBLE
            | K::FALSE
            | K::INTERVAL
            | K::JSON
            | K::MAP
            | K::NULL
            | K::ROW
            | K::TIME
            | K::TIMESTAMP
            | K::TRUE
            | K::TRY_CAST
            | K::UUID
    )
}

/// Whether a word follows a column that is called `table`, rather than names one.
fn is_reserved(word: &Word) -> bool {
    let reserved = matches!(
        word.keyword,
        K::AS
            | K::IS
            | K::IN
            | K::NOT
            | K::LIKE
            | K::BETWEEN
            | K::AND
            | K::OR
            | K::FROM
            | K::WHERE
            | K::GROUP
            | K::HAVING
            | K::ON
            | K::JOIN
    );
    word.quote_style.is_none() && (reserved || ends_rows(word.keyword))
}

fn ends_rows(keyword: K) -> bool {
    matches!(keyword, K::UNION | K::INTERSECT | K::EXCEPT | K::ORDER | K::LIMIT | K::OFFSET | K::FETCH)
}

#[cfg(test)]
mod tests {
    use super::super::tokenize;

    fn written(text: &str) -> String {
        tokenize(text).unwrap().iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn rows_of_one_value_get_their_parentheses() {
        for (short, long) in [
            ("VALUES 1, 2", "VALUES (1), (2)"),
            ("a = ANY (VALUES 1, 2)", "a = ANY (SELECT*FROM(VALUES (1), (2)))"),
            ("WITH c AS (SELECT 1) TABLE c", "WITH c AS (SELECT 1) SELECT*FROM c"),
            ("WITH c AS (SELECT 1) VALUES 1", "WITH c AS (SELECT 1) VALUES (1)"),
            (
                "SELECT * FROM (VALUES 'a' , ROW(1, 2), -1) t(n)",
                "SELECT * FROM (VALUES ('a') , (ROW(1, 2)), (-1)) t(n)",
            ),
            ("VALUES (1, 2), (3, 4) ORDER BY 1", "VALUES (1, 2), (3, 4) ORDER BY 1"),
            ("VALUES (1 + 2) * 3, 4 UNION VALUES 5", "VALUES ((1 + 2) * 3), (4) UNION VALUES (5)"),
            ("VALUES 1, (2), ARRAY[3, 4] LIMIT 1", "VALUES (1), (2), (ARRAY[3, 4]) LIMIT 1"),
            ("x IN (VALUES 'a', 'b') AND y", "x IN (VALUES ('a'), ('b')) AND y"),
            ("FROM (VALUES upper('a'), b) t(x)", "FROM (VALUES (upper('a')), (b)) t(x)"),
            ("INSERT INTO t (a) VALUES 1, 2", "INSERT INTO t (a) VALUES (1), (2)"),
        ] {
            assert_eq!(written(short).replace(' ', ""), long.replace(' ', ""));
        }
    }

    #[test]
    fn a_column_may_be_called_values() {
        for text in ["SELECT f(values), values FROM t", "SELECT values 1", "SELECT (values + 1), t.values"] {
            assert_eq!(written(text), text);
        }
    }

    #[test]
    fn a_table_alone_is_all_of_it() {
        assert_eq!(written("TABLE db.t LIMIT 1"), "SELECT*FROM db.t LIMIT 1");
        assert_eq!(written("CREATE TABLE t AS TABLE u"), "CREATE TABLE t AS SELECT*FROM u");
        assert_eq!(written("SHOW CREATE TABLE t"), "SHOW CREATE TABLE t");
        for text in ["SELECT table FROM t", "SELECT a AS table FROM t", "SELECT DISTINCT table FROM t"] {
            assert_eq!(written(text), text);
        }
    }

    #[test]
    fn quantifiers_of_group_by_are_left_out_where_they_change_nothing() {
        assert_eq!(written("GROUP BY DISTINCT a, b"), "GROUP BY  a, b");
        assert_eq!(written("group by all rollup(a)"), "group by  rollup(a)");
        for text in
            ["GROUP BY ALL", "GROUP BY ALL ORDER BY 1", "GROUP BY DISTINCT CUBE (a)", "ORDER BY DISTINCT"]
        {
            assert_eq!(written(text), text);
        }
    }
}
