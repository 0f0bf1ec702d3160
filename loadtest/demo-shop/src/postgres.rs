//! The inventory in PostgreSQL: a fixed pool, a hot row for the stock, and constraints that hold whatever the code does.
//!
//! Each step is **one statement**, and so a transaction of one round trip: the hot row is locked for as short as
//! can be, and a shop that dies in the middle leaves neither a lock nor half an order. A repeated key runs
//! into its unique constraint, which undoes the statement; then what the key did before is read.
//!
//! Nothing waits for ever: not for a connection (`patience`), not for a statement (`statement_timeout`, kept
//! by the server), and not for a server that keeps silent (a little more than that).
//!
//! Out of scope: TLS, for a database of a test stands nearby; and retries, which are the shopper's.

use std::time::Duration;

use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::ToSql;
use deadpool_postgres::tokio_postgres::{Config, NoTls, Row};
use deadpool_postgres::{Manager, Object, Pool, PoolError, Runtime, Status};
use evidence::shop::{Account, Stage};
use tokio::time::{Instant, timeout};

use crate::pace::Pace;
use crate::sale::{Failure, Held, Ordered, PLENTY, Paid, Stock};

const PRODUCT: &str = "weir-one";
/// How long after its time-out a statement may take to say that it was cancelled.
const SILENCE: Duration = Duration::from_secs(1);

const SCHEMA: &str = include_str!("schema.sql");

const OPEN: &str = "INSERT INTO millrace.stock (product, pieces, left_over) VALUES ($1, $2, $2) RETURNING sale";

const LATEST: &str = "SELECT sale FROM millrace.stock WHERE product = $1 ORDER BY sale DESC LIMIT 1";

const LEFT_OVER: &str = "SELECT left_over FROM millrace.stock WHERE sale = $1";

const CART: &str = "INSERT INTO millrace.carts (session, product) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const ORDER: &str = "
WITH taken AS (
  UPDATE millrace.stock SET left_over = left_over - 1 WHERE sale = $1 AND left_over > 0 RETURNING sale, product
), made AS (
  INSERT INTO millrace.orders (sale, session, key, reserved_until)
  SELECT sale, $2, $3, now() + make_interval(secs => $4) FROM taken RETURNING id
), emptied AS (
  DELETE FROM millrace.carts USING taken WHERE carts.session = $2 AND carts.product = taken.product
)
SELECT id FROM made";

const ORDERED: &str = "SELECT id FROM millrace.orders WHERE key = $1";

/// An order without an end has none from here either. Tells whether it is paid.
const HOLD: &str = "
UPDATE millrace.orders
SET reserved_until = CASE WHEN reserved_until IS NOT NULL
  THEN greatest(reserved_until, now() + make_interval(secs => $2)) END
WHERE id = $1 AND ended_at IS NULL
RETURNING paid_at IS NOT NULL";

const KNOWN: &str = "SELECT id FROM millrace.orders WHERE id = $1";

/// Orders that hold a piece and are not paid. Only a shop that asks for them pays for the index.
const HELD: &str = "
BEGIN;
SELECT pg_advisory_xact_lock(7203516429);
CREATE INDEX IF NOT EXISTS orders_held ON millrace.orders (sale, reserved_until)
  WHERE paid_at IS NULL AND ended_at IS NULL;
COMMIT;";

/// The hot row is locked only where there is something to give back.
const GIVE_BACK: &str = "
WITH ended AS (
  UPDATE millrace.orders SET ended_at = now()
  WHERE sale = $1 AND paid_at IS NULL AND ended_at IS NULL AND reserved_until < now() RETURNING id
)
UPDATE millrace.stock SET left_over = left_over + (SELECT count(*) FROM ended)
WHERE sale = $1 AND EXISTS (SELECT FROM ended)";

const STOCK: &str = "
SELECT left_over,
  (SELECT count(*) FROM millrace.orders WHERE orders.sale = $1 AND paid_at IS NULL AND ended_at IS NULL)
FROM millrace.stock WHERE sale = $1";

const PAY: &str = "
WITH made AS (
  INSERT INTO millrace.payments (order_id, key) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING order_id
)
UPDATE millrace.orders SET paid_at = now() FROM made WHERE id = made.order_id RETURNING id";

/// By this key, or else the one of this order.
const PAID: &str = "
SELECT order_id FROM millrace.payments WHERE order_id = $1 OR key = $2 ORDER BY (key = $2) DESC LIMIT 1";

/// Orders and payments are counted from the rows themselves, so that a broken constraint would show.
const ACCOUNT: &str = "
WITH made AS (SELECT id, key, paid_at, ended_at FROM millrace.orders WHERE sale = $1)
SELECT pieces, left_over,
  (SELECT count(*) FROM made WHERE ended_at IS NULL OR paid_at IS NOT NULL),
  (SELECT count(paid_at) FROM made),
  (SELECT count(*) - count(DISTINCT key) FROM made)
    + (SELECT count(*) - count(DISTINCT order_id) FROM millrace.payments JOIN made ON made.id = order_id),
  (SELECT count(*) FROM made WHERE ended_at IS NOT NULL AND paid_at IS NULL),
  (SELECT count(*) FROM made WHERE ended_at IS NOT NULL AND paid_at IS NOT NULL)
FROM millrace.stock WHERE sale = $1";

/// Where the database is, and how much of it the shop takes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address as `postgres://user@host/database`; sockets as `postgres:///database?host=/run/postgresql`.
    pub url: String,
    /// Connections, all opened at the start.
    pub pool: usize,
    /// How long a request waits for one of them.
    pub patience: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// Pieces of a new sale. `None` goes on with the last one.
    pub stock: Option<u64>,
}

/// An inventory in a database.
#[derive(Debug)]
pub struct Postgres {
    pool: Pool,
    pace: Pace<3>,
    sale: i64,
    deadline: Duration,
}

/// Which page of a purchase a statement is for; others are for none.
type Page = Option<usize>;
const ITEM: Page = Some(0);
const ORDERING: Page = Some(1);
const PAYING: Page = Some(2);

impl Postgres {
    /// Connects, makes the tables that are missing, and opens a sale or goes on with the last. What was sold
    /// before stays there.
    pub async fn open(settings: &Settings) -> Result<Self, Failure> {
        let deadline = settings.statement_timeout + SILENCE;
        let mut postgres = Self { pool: pool(settings, deadline)?, pace: Pace::unknown(), sale: 0, deadline };
        let mut all = Vec::with_capacity(settings.pool);
        for _ in 0..settings.pool {
            all.push(postgres.pool.get().await?);
        }
        drop(all);
        postgres.pool.get().await?.batch_execute(SCHEMA).await?;
        postgres.sale = postgres.sale(settings.stock).await?;
        Ok(postgres)
    }

    async fn sale(&self, stock: Option<u64>) -> Result<i64, Failure> {
        let latest = if stock.is_none() { self.row(None, LATEST, &[&PRODUCT]).await? } else { None };
        let pieces = i64::try_from(stock.unwrap_or(PLENTY)).unwrap_or(i64::MAX);
        let row = match latest {
            Some(row) => row,
            None => self.one(None, OPEN, &[&PRODUCT, &pieces]).await?,
        };
        Ok(row.try_get(0)?)
    }

    pub(crate) async fn left_over(&self) -> Result<u64, Failure> {
        number(&self.one(ITEM, LEFT_OVER, &[&self.sale]).await?, 0)
    }

    pub(crate) async fn cart(&self, session: &str) -> Result<(), Failure> {
        self.row(None, CART, &[&session, &PRODUCT]).await.map(drop)
    }

    pub(crate) async fn order(&self, session: &str, key: &str, reserve: Option<Duration>) -> Result<Ordered, Failure> {
        let seconds = reserve.map(|reserve| reserve.as_secs_f64());
        match self.row(ORDERING, ORDER, &[&self.sale, &session, &key, &seconds]).await {
            Ok(Some(made)) => return Ok(Ordered::Now(number(&made, 0)?)),
            Ok(None) => {}
            Err(failure) if failure.is(&SqlState::UNIQUE_VIOLATION) => {}
            Err(failure) => return Err(failure),
        }
        let before = self.row(None, ORDERED, &[&key]).await?;
        before.map_or(Ok(Ordered::SoldOut), |row| Ok(Ordered::Before(number(&row, 0)?)))
    }

    pub(crate) async fn pay(&self, order: u64, key: &str) -> Result<Paid, Failure> {
        let Ok(order) = i64::try_from(order) else { return Ok(Paid::NoSuchOrder) };
        match self.row(PAYING, PAY, &[&order, &key]).await {
            Ok(Some(made)) => return Ok(Paid::Now(number(&made, 0)?)),
            Ok(None) => {}
            Err(failure) if failure.is(&SqlState::FOREIGN_KEY_VIOLATION) => return Ok(Paid::NoSuchOrder),
            Err(failure) => return Err(failure),
        }
        Ok(Paid::Before(number(&self.one(None, PAID, &[&order, &key]).await?, 0)?))
    }

    pub(crate) async fn account(&self) -> Result<Account, Failure> {
        let row = self.one(None, ACCOUNT, &[&self.sale]).await?;
        let account = Account::of(number(&row, 0)?, number(&row, 1)?, number(&row, 2)?);
        let (ended, sold_twice) = (number(&row, 5)?, number(&row, 6)?);
        Ok(Account { paid: number(&row, 3)?, duplicates: number(&row, 4)?, ended, sold_twice, ..account })
    }

    pub(crate) async fn hold(&self, order: u64, at_least: Duration) -> Result<Held, Failure> {
        let Ok(order) = i64::try_from(order) else { return Ok(Held::NoSuchOrder) };
        if let Some(held) = self.row(None, HOLD, &[&order, &at_least.as_secs_f64()]).await? {
            return Ok(if held.try_get(0)? { Held::Paid } else { Held::Now });
        }
        let known = self.row(None, KNOWN, &[&order]).await?;
        Ok(known.map_or(Held::NoSuchOrder, |_| Held::Ended))
    }

    pub(crate) async fn prepare_to_tidy(&self) -> Result<(), Failure> {
        Ok(self.pool.get().await?.batch_execute(HELD).await?)
    }

    pub(crate) async fn tidy(&self) -> Result<Stock, Failure> {
        self.row(None, GIVE_BACK, &[&self.sale]).await?;
        let row = self.one(None, STOCK, &[&self.sale]).await?;
        Ok(Stock { left: number(&row, 0)?, held: number(&row, 1)? })
    }

    pub(crate) fn stage(&self) -> Stage {
        let Status { max_size: pool, size, available, waiting } = self.pool.status();
        Stage { pool, in_work: size.saturating_sub(available), waiting, delivers: self.pace.delivers(pool) }
    }

    pub(crate) fn resize(&self, pool: usize) {
        self.pool.resize(pool);
    }

    /// Runs one statement that tells at most one row, for this page.
    async fn row(
        &self,
        page: Page,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Failure> {
        let client = self.pool.get().await?;
        let begun = Instant::now();
        let asking = async { client.query_opt(&client.prepare_cached(statement).await?, parameters).await };
        if let Ok(told) = timeout(self.deadline, asking).await {
            let told = told?;
            if let Some(page) = page {
                self.pace.note(page, begun.elapsed());
            }
            return Ok(told);
        }
        // Whatever it says later is not for the next one who gets this connection: it leaves the pool.
        drop(Object::take(client));
        Err(Failure::Silent)
    }

    /// The same, of a statement that always tells a row.
    async fn one(&self, page: Page, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        self.row(page, statement, parameters).await?.ok_or(Failure::Missing)
    }
}

fn pool(settings: &Settings, deadline: Duration) -> Result<Pool, Failure> {
    let mut config: Config = settings.url.parse()?;
    let given = config.get_options().unwrap_or_default();
    let options = format!("{given} -c statement_timeout={}", settings.statement_timeout.as_millis().max(1));
    config.options(options).application_name("millrace").connect_timeout(deadline);
    let pool = Pool::builder(Manager::new(config, NoTls))
        .max_size(settings.pool)
        .wait_timeout(Some(settings.patience))
        .create_timeout(Some(deadline))
        .recycle_timeout(Some(deadline))
        .runtime(Runtime::Tokio1);
    pool.build().map_err(|_| Failure::Pool(PoolError::NoRuntimeSpecified))
}

/// A count or number in a column: never below 0.
fn number(row: &Row, column: usize) -> Result<u64, Failure> {
    Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or_default())
}
