//! The lines of the applications: one function for the ordinary lines of each, and one for each
//! failure. Numbers, ids and addresses vary and words do not, so lines of one template have one
//! pattern.
//!
//! Credentials are random in each line, so this file contains none. Values that belong to a request
//! (its id, the thread, the database session) are the same in all lines of the request.

use super::super::rng::{Rng, SampleClock};

fn request_id(rng: &mut Rng) -> String {
    rng.per_request("id", Rng::uuid)
}

fn order(rng: &mut Rng) -> String {
    rng.per_request("order", Rng::order)
}

fn java(rng: &mut Rng, at: &SampleClock, level: &str, class: &str) -> String {
    let thread = rng.per_request("thread", |rng| rng.between(1, 200).to_string());
    format!("{} {level:>5} 1 --- [nio-8080-exec-{thread}] {class} :", at.java())
}

pub(super) fn payments(rng: &mut Rng, at: &SampleClock) -> String {
    let took = rng.between(12, 900);
    match rng.below(10) {
        0..6 => format!(
            "{} Authorised payment {} for {} amount={} EUR provider=adyen took={took}ms",
            java(rng, at, "INFO", "c.e.payments.web.PaymentController"),
            request_id(rng),
            order(rng),
            rng.price(),
        ),
        6..9 => format!(
            "{} select p.id, p.state, p.amount from payment p where p.order_id=? [{}] rows=1 took={took}ms",
            java(rng, at, "DEBUG", "c.e.payments.db.PaymentRepository"),
            order(rng),
        ),
        _ => format!(
            "{} HikariPool-1 - Pool stats (total=50, active={}, idle={}, waiting=0)",
            java(rng, at, "WARN", "c.zaxxer.hikari.pool.HikariPool"),
            rng.between(30, 49),
            rng.between(1, 20),
        ),
    }
}

pub(super) fn payments_pool(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    let (waited, waiting) = (rng.between(30_000, 30_090), rng.between(20, 400));
    format!(
        "{} {marker} Database connection pool exhausted: HikariPool-1 - Connection is not available, request \
         timed out after {waited}ms (total=50, active=50, idle=0, waiting={waiting})\n\
         java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available\n\
         \tat com.example.payments.db.PaymentRepository.find(PaymentRepository.java:{})",
        java(rng, at, "ERROR", "c.e.payments.db.PaymentRepository"),
        rng.pick(&[41, 88, 132]),
    )
}

/// The card is the well-known test number.
pub(super) fn payments_card(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        "{} {marker} Capture refused by adyen for {}: card 4111 1111 1111 1111 exp 03/30, code={} psp={}",
        java(rng, at, "ERROR", "c.e.payments.gateway.AdyenClient"),
        order(rng),
        rng.between(2, 30),
        rng.hex(16).to_uppercase(),
    )
}

pub(super) fn checkout(rng: &mut Rng, at: &SampleClock) -> String {
    let (request, ms) = (request_id(rng), rng.between(3, 1_400));
    match rng.below(10) {
        0..8 => format!(
            r#"{{"timestamp":"{}","level":"INFO","requestId":"{request}","message":"{}","cartId":"{}","items":{},"total":{},"currency":"EUR","durationMs":{ms}}}"#,
            at.iso(),
            rng.pick(&["Cart priced", "Voucher applied", "Order placed", "Stock reserved"]),
            rng.hex(12),
            rng.between(1, 14),
            rng.price(),
        ),
        _ => format!(
            "REPORT RequestId: {request}\tDuration: {ms}.{:02} ms\tBilled Duration: {} ms\tMemory Size: 512 MB\t\
             Max Memory Used: {} MB",
            rng.between(0, 99),
            ms + 1,
            rng.between(120, 320),
        ),
    }
}

pub(super) fn checkout_circuit(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        r#"{{"timestamp":"{}","level":"FATAL","requestId":"{}","message":"{marker} payments-api unavailable: circuit breaker open after {} failures","orderId":"{}","attempt":{},"durationMs":{}}}"#,
        at.iso(),
        request_id(rng),
        rng.between(10, 60),
        order(rng),
        rng.between(1, 5),
        rng.between(2_000, 9_000),
    )
}

pub(super) fn checkout_token(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        r#"{{"timestamp":"{}","level":"ERROR","requestId":"{}","message":"{marker} Identity provider refused our token","status":401,"headers":{{"host":"id.example.com","authorization":"Bearer {}"}}}}"#,
        at.iso(),
        request_id(rng),
        rng.token(48),
    )
}

fn postgres_prefix(rng: &mut Rng, at: &SampleClock) -> String {
    let session = rng.per_request("session", |rng| {
        let (client, port, pid) =
            (rng.pod_ip(), rng.between(32_768, 60_999), rng.between(400, 32_000));
        format!("{client}({port}):payments@orders:[{pid}]")
    });
    format!("{} {} UTC:{session}:", at.date('-'), at.time())
}

pub(super) fn postgres(rng: &mut Rng, at: &SampleClock) -> String {
    let (ms, micros) = (rng.between(200, 9_000), rng.between(0, 999));
    match rng.below(10) {
        0..7 => format!(
            "{}LOG:  duration: {ms}.{micros:03} ms  statement: UPDATE stock SET reserved = reserved + {} WHERE sku = '{}'",
            postgres_prefix(rng, at),
            rng.between(1, 9),
            rng.hex(10),
        ),
        _ => format!(
            "{} {} UTC::@:[392]:LOG:  checkpoint complete: wrote {} buffers ({ms}.{micros:03} ms); distance={} kB",
            at.date('-'),
            at.time(),
            rng.between(10, 9_000),
            rng.between(1_000, 70_000),
        ),
    }
}

pub(super) fn postgres_slots(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        "{}FATAL:  {marker} remaining connection slots are reserved for roles with the SUPERUSER attribute \
         (in use {} of 500)",
        postgres_prefix(rng, at),
        rng.between(490, 497),
    )
}

pub(super) fn ingress(rng: &mut Rng, at: &SampleClock) -> String {
    let (bytes, ms, pod) = (rng.between(180, 48_000), rng.between(2, 999), rng.pod_ip());
    let status = rng.pick(&[200, 200, 200, 200, 200, 201, 204, 304, 404, 502]);
    format!(
        r#"{} - - [{}] "{} HTTP/2.0" {status} {bytes} "https://shop.example.com/" "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)" 0.{ms:03} [prod-checkout-8080] {pod}:8080 {}"#,
        rng.client_ip(),
        at.web(),
        rng.pick(&["GET /api/cart", "GET /api/products?page=2", "POST /api/orders", "GET /health"]),
        rng.hex(32),
    )
}

pub(super) fn ingress_timeout(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        r#"{} {} [error] 31#31: *{} {marker} upstream timed out (110: Operation timed out) while reading response header from upstream, client: {}, server: api.example.com, request: "POST /api/orders HTTP/2.0", upstream: "http://{}:8080/orders""#,
        at.date('/'),
        at.time(),
        rng.between(100_000, 9_999_999),
        rng.client_ip(),
        rng.pod_ip(),
    )
}

fn trace(rng: &mut Rng) -> String {
    rng.per_request("trace", |rng| rng.hex(16))
}

pub(super) fn inventory(rng: &mut Rng, at: &SampleClock) -> String {
    format!(
        r#"ts={} level={} app=inventory-worker msg="{}" sku={} qty={} warehouse={} took_ms={} trace={}"#,
        at.iso(),
        rng.pick(&["info", "info", "info", "debug", "warn"]),
        rng.pick(&["reservation placed", "stock counted", "message acknowledged", "retrying"]),
        rng.hex(10),
        rng.between(1, 40),
        rng.pick(&["ber1", "waw2", "lis1", "osl1"]),
        rng.between(1, 800),
        trace(rng),
    )
}

pub(super) fn inventory_lag(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        r#"ts={} level=fatal app=inventory-worker msg="{marker} queue orders-events is not drained, no database connection" lag={} oldest_s={} pool=orders in_use=40 max=40 trace={}"#,
        at.iso(),
        rng.between(2_000, 90_000),
        rng.between(30, 700),
        trace(rng),
    )
}

pub(super) fn inventory_dsn(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        r#"ts={} level=fatal app=inventory-worker msg="{marker} cannot reconnect" dsn=postgres://inventory:{}@orders-db.internal:5432/orders attempt={} err="FATAL: sorry, too many clients already""#,
        at.iso(),
        rng.token(14),
        rng.between(1, 12),
    )
}

pub(super) fn notify(rng: &mut Rng, at: &SampleClock) -> String {
    format!(
        "[INFO]\t{}\t{}\tSent “{}” to {} via {} in {} ms",
        at.iso(),
        request_id(rng),
        rng.pick(&[
            "Ihre Bestellung ist unterwegs",
            "Votre commande est prête",
            "ご注文を承りました",
            "Takk! 🎉"
        ]),
        rng.pick(&["Zoë Müller", "山田太郎", "Łukasz Żak", "Соня Иванова", "محمد علي"]),
        rng.pick(&["e-mail", "SMS", "push"]),
        rng.between(20, 900),
    )
}

pub(super) fn notify_refused(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        "[ERROR]\t{}\t{}\t{marker} Kundschaft nicht benachrichtigt: Bestellung {} ohne Zahlungsstatus, {} weitere \
         in der Warteschlange für Zürich und Kraków ⚠️",
        at.iso(),
        request_id(rng),
        order(rng),
        rng.between(3, 900),
    )
}

pub(super) fn billing(rng: &mut Rng, at: &SampleClock) -> String {
    let year_day = rng.between(100, 365);
    format!(
        "{} ip-10-0-3-17 billing[{}]: invoice 2025-{year_day}-{} rendered, pages={} bytes={} template=b2c-eu queue=nightly",
        at.syslog(),
        rng.between(900, 4_000),
        rng.between(10_000, 99_999),
        rng.between(1, 12),
        rng.between(20_000, 900_000),
    )
}

pub(super) fn billing_export(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        "{} ip-10-0-3-17 billing[{}]: {marker} export failed, giving up on batch {}: ORA-12516 no handler; \
         connect host=ledger.internal user=billing password={} timeout=30",
        at.syslog(),
        rng.between(900, 4_000),
        rng.between(1, 4_000),
        rng.token(12),
    )
}

pub(super) fn gateway(rng: &mut Rng, at: &SampleClock) -> String {
    format!(
        r#"{{"requestId":"{}","ip":"{}","requestTime":"{}","httpMethod":"{}","path":"/v1/{}","status":{},"responseLength":{},"latencyMs":{}}}"#,
        request_id(rng),
        rng.client_ip(),
        at.web(),
        rng.pick(&["GET", "GET", "POST", "PUT"]),
        rng.pick(&["orders", "carts", "products", "sessions"]),
        rng.pick(&[200, 200, 200, 201, 400, 404, 504]),
        rng.between(20, 90_000),
        rng.between(4, 2_900),
    )
}

pub(super) fn gateway_errors(rng: &mut Rng, at: &SampleClock, marker: &str) -> String {
    format!(
        r#"{{"time":"{}","monitor":"public-api","message":"{marker} share of 5xx answers is {}.{} percent over 60 s, limit 5","route":"POST /v1/orders","instance":"{}"}}"#,
        at.iso(),
        rng.between(6, 70),
        rng.between(0, 9),
        rng.pod_ip(),
    )
}
