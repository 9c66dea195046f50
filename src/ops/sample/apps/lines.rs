//! What the applications write: one function for each one's ordinary lines, and one for each of its failures.
//! Numbers, ids and addresses vary, words do not, so that lines of one template can be told to be similar.
//!
//! A credential is drawn anew for each line, so none stands here. What an application writes at each step of a
//! request (its id, the thread, the session with the database) is the same in all of the request's lines.

use super::super::dice::{Dice, Stamp};

fn request_id(dice: &mut Dice) -> String {
    dice.of_request("id", Dice::uuid)
}

fn order(dice: &mut Dice) -> String {
    dice.of_request("order", Dice::order)
}

fn java(dice: &mut Dice, at: &Stamp, level: &str, class: &str) -> String {
    let thread = dice.of_request("thread", |dice| dice.between(1, 200).to_string());
    format!("{} {level:>5} 1 --- [nio-8080-exec-{thread}] {class} :", at.java())
}

pub(super) fn payments(dice: &mut Dice, at: &Stamp) -> String {
    let took = dice.between(12, 900);
    match dice.below(10) {
        0..6 => format!(
            "{} Authorised payment {} for {} amount={} EUR provider=adyen took={took}ms",
            java(dice, at, "INFO", "c.e.payments.web.PaymentController"),
            request_id(dice),
            order(dice),
            dice.price(),
        ),
        6..9 => format!(
            "{} select p.id, p.state, p.amount from payment p where p.order_id=? [{}] rows=1 took={took}ms",
            java(dice, at, "DEBUG", "c.e.payments.db.PaymentRepository"),
            order(dice),
        ),
        _ => format!(
            "{} HikariPool-1 - Pool stats (total=50, active={}, idle={}, waiting=0)",
            java(dice, at, "WARN", "c.zaxxer.hikari.pool.HikariPool"),
            dice.between(30, 49),
            dice.between(1, 20),
        ),
    }
}

pub(super) fn payments_pool(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    let (waited, waiting) = (dice.between(30_000, 30_090), dice.between(20, 400));
    format!(
        "{} {marker} Database connection pool exhausted: HikariPool-1 - Connection is not available, request \
         timed out after {waited}ms (total=50, active=50, idle=0, waiting={waiting})\n\
         java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available\n\
         \tat com.example.payments.db.PaymentRepository.find(PaymentRepository.java:{})",
        java(dice, at, "ERROR", "c.e.payments.db.PaymentRepository"),
        dice.pick(&[41, 88, 132]),
    )
}

/// The card is the well-known test number.
pub(super) fn payments_card(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        "{} {marker} Capture refused by adyen for {}: card 4111 1111 1111 1111 exp 03/30, code={} psp={}",
        java(dice, at, "ERROR", "c.e.payments.gateway.AdyenClient"),
        order(dice),
        dice.between(2, 30),
        dice.hex(16).to_uppercase(),
    )
}

pub(super) fn checkout(dice: &mut Dice, at: &Stamp) -> String {
    let (request, ms) = (request_id(dice), dice.between(3, 1_400));
    match dice.below(10) {
        0..8 => format!(
            r#"{{"timestamp":"{}","level":"INFO","requestId":"{request}","message":"{}","cartId":"{}","items":{},"total":{},"currency":"EUR","durationMs":{ms}}}"#,
            at.iso(),
            dice.pick(&["Cart priced", "Voucher applied", "Order placed", "Stock reserved"]),
            dice.hex(12),
            dice.between(1, 14),
            dice.price(),
        ),
        _ => format!(
            "REPORT RequestId: {request}\tDuration: {ms}.{:02} ms\tBilled Duration: {} ms\tMemory Size: 512 MB\t\
             Max Memory Used: {} MB",
            dice.between(0, 99),
            ms + 1,
            dice.between(120, 320),
        ),
    }
}

pub(super) fn checkout_circuit(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        r#"{{"timestamp":"{}","level":"FATAL","requestId":"{}","message":"{marker} payments-api unavailable: circuit breaker open after {} failures","orderId":"{}","attempt":{},"durationMs":{}}}"#,
        at.iso(),
        request_id(dice),
        dice.between(10, 60),
        order(dice),
        dice.between(1, 5),
        dice.between(2_000, 9_000),
    )
}

pub(super) fn checkout_token(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        r#"{{"timestamp":"{}","level":"ERROR","requestId":"{}","message":"{marker} Identity provider refused our token","status":401,"headers":{{"host":"id.example.com","authorization":"Bearer {}"}}}}"#,
        at.iso(),
        request_id(dice),
        dice.token(48),
    )
}

fn postgres_prefix(dice: &mut Dice, at: &Stamp) -> String {
    let session = dice.of_request("session", |dice| {
        let (client, port, pid) = (dice.pod_ip(), dice.between(32_768, 60_999), dice.between(400, 32_000));
        format!("{client}({port}):payments@orders:[{pid}]")
    });
    format!("{} {} UTC:{session}:", at.date('-'), at.time())
}

pub(super) fn postgres(dice: &mut Dice, at: &Stamp) -> String {
    let (ms, micros) = (dice.between(200, 9_000), dice.between(0, 999));
    match dice.below(10) {
        0..7 => format!(
            "{}LOG:  duration: {ms}.{micros:03} ms  statement: UPDATE stock SET reserved = reserved + {} WHERE sku = '{}'",
            postgres_prefix(dice, at),
            dice.between(1, 9),
            dice.hex(10),
        ),
        _ => format!(
            "{} {} UTC::@:[392]:LOG:  checkpoint complete: wrote {} buffers ({ms}.{micros:03} ms); distance={} kB",
            at.date('-'),
            at.time(),
            dice.between(10, 9_000),
            dice.between(1_000, 70_000),
        ),
    }
}

pub(super) fn postgres_slots(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        "{}FATAL:  {marker} remaining connection slots are reserved for roles with the SUPERUSER attribute \
         (in use {} of 500)",
        postgres_prefix(dice, at),
        dice.between(490, 497),
    )
}

pub(super) fn ingress(dice: &mut Dice, at: &Stamp) -> String {
    let (bytes, ms, pod) = (dice.between(180, 48_000), dice.between(2, 999), dice.pod_ip());
    let status = dice.pick(&[200, 200, 200, 200, 200, 201, 204, 304, 404, 502]);
    format!(
        r#"{} - - [{}] "{} HTTP/2.0" {status} {bytes} "https://shop.example.com/" "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)" 0.{ms:03} [prod-checkout-8080] {pod}:8080 {}"#,
        dice.client_ip(),
        at.web(),
        dice.pick(&["GET /api/cart", "GET /api/products?page=2", "POST /api/orders", "GET /health"]),
        dice.hex(32),
    )
}

pub(super) fn ingress_timeout(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        r#"{} {} [error] 31#31: *{} {marker} upstream timed out (110: Operation timed out) while reading response header from upstream, client: {}, server: api.example.com, request: "POST /api/orders HTTP/2.0", upstream: "http://{}:8080/orders""#,
        at.date('/'),
        at.time(),
        dice.between(100_000, 9_999_999),
        dice.client_ip(),
        dice.pod_ip(),
    )
}

fn trace(dice: &mut Dice) -> String {
    dice.of_request("trace", |dice| dice.hex(16))
}

pub(super) fn inventory(dice: &mut Dice, at: &Stamp) -> String {
    format!(
        r#"ts={} level={} app=inventory-worker msg="{}" sku={} qty={} warehouse={} took_ms={} trace={}"#,
        at.iso(),
        dice.pick(&["info", "info", "info", "debug", "warn"]),
        dice.pick(&["reservation placed", "stock counted", "message acknowledged", "retrying"]),
        dice.hex(10),
        dice.between(1, 40),
        dice.pick(&["ber1", "waw2", "lis1", "osl1"]),
        dice.between(1, 800),
        trace(dice),
    )
}

pub(super) fn inventory_lag(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        r#"ts={} level=fatal app=inventory-worker msg="{marker} queue orders-events is not drained, no database connection" lag={} oldest_s={} pool=orders in_use=40 max=40 trace={}"#,
        at.iso(),
        dice.between(2_000, 90_000),
        dice.between(30, 700),
        trace(dice),
    )
}

pub(super) fn inventory_dsn(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        r#"ts={} level=fatal app=inventory-worker msg="{marker} cannot reconnect" dsn=postgres://inventory:{}@orders-db.internal:5432/orders attempt={} err="FATAL: sorry, too many clients already""#,
        at.iso(),
        dice.token(14),
        dice.between(1, 12),
    )
}

pub(super) fn notify(dice: &mut Dice, at: &Stamp) -> String {
    format!(
        "[INFO]\t{}\t{}\tSent “{}” to {} via {} in {} ms",
        at.iso(),
        request_id(dice),
        dice.pick(&["Ihre Bestellung ist unterwegs", "Votre commande est prête", "ご注文を承りました", "Takk! 🎉"]),
        dice.pick(&["Zoë Müller", "山田太郎", "Łukasz Żak", "Соня Иванова", "محمد علي"]),
        dice.pick(&["e-mail", "SMS", "push"]),
        dice.between(20, 900),
    )
}

pub(super) fn notify_refused(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        "[ERROR]\t{}\t{}\t{marker} Kundschaft nicht benachrichtigt: Bestellung {} ohne Zahlungsstatus, {} weitere \
         in der Warteschlange für Zürich und Kraków ⚠️",
        at.iso(),
        request_id(dice),
        order(dice),
        dice.between(3, 900),
    )
}

pub(super) fn billing(dice: &mut Dice, at: &Stamp) -> String {
    let year_day = dice.between(100, 365);
    format!(
        "{} ip-10-0-3-17 billing[{}]: invoice 2025-{year_day}-{} rendered, pages={} bytes={} template=b2c-eu queue=nightly",
        at.syslog(),
        dice.between(900, 4_000),
        dice.between(10_000, 99_999),
        dice.between(1, 12),
        dice.between(20_000, 900_000),
    )
}

pub(super) fn billing_export(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        "{} ip-10-0-3-17 billing[{}]: {marker} export failed, giving up on batch {}: ORA-12516 no handler; \
         connect host=ledger.internal user=billing password={} timeout=30",
        at.syslog(),
        dice.between(900, 4_000),
        dice.between(1, 4_000),
        dice.token(12),
    )
}

pub(super) fn gateway(dice: &mut Dice, at: &Stamp) -> String {
    format!(
        r#"{{"requestId":"{}","ip":"{}","requestTime":"{}","httpMethod":"{}","path":"/v1/{}","status":{},"responseLength":{},"latencyMs":{}}}"#,
        request_id(dice),
        dice.client_ip(),
        at.web(),
        dice.pick(&["GET", "GET", "POST", "PUT"]),
        dice.pick(&["orders", "carts", "products", "sessions"]),
        dice.pick(&[200, 200, 200, 201, 400, 404, 504]),
        dice.between(20, 90_000),
        dice.between(4, 2_900),
    )
}

pub(super) fn gateway_errors(dice: &mut Dice, at: &Stamp, marker: &str) -> String {
    format!(
        r#"{{"time":"{}","monitor":"public-api","message":"{marker} share of 5xx answers is {}.{} percent over 60 s, limit 5","route":"POST /v1/orders","instance":"{}"}}"#,
        at.iso(),
        dice.between(6, 70),
        dice.between(0, 9),
        dice.pod_ip(),
    )
}
