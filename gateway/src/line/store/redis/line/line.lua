-- Line: time passes -------------------------------------------------------------------------------

-- Claimants who no longer wait at their gateway.
local function leave(numbers, last_named)
  local gone = {}
  for _, n in ipairs(numbers) do
    gone[#gone + 1] = last_named
    gone[#gone + 1] = n
  end
  each('ZREM', HERE, numbers)
  each('ZREM', NAMED_BY, numbers)
  each('ZADD', GONE, gone)
end

local function forget_claimants()
  for _, silent in ipairs(call('ZRANGEBYSCORE', GATEWAYS, '-inf', int(now - 300))) do
    leave(call('ZRANGEBYSCORE', NAMED_BY, silent, silent), call('ZSCORE', GATEWAYS, silent))
    call('ZREM', GATEWAYS, silent)
  end
  call('ZREMRANGEBYSCORE', GONE, '-inf', int(now - 2000))
  claimants = call('ZCARD', NAMED_BY) + call('ZCARD', GONE)
end

local function end_passes()
  while true do
    local first = call('LINDEX', REVOKED, 0)
    if not first or words(first)[2] + rules.form_grace > now then
      break
    end
    call('LPOP', REVOKED)
    s.revocations_forgotten = s.revocations_forgotten + 1
  end
  if call('EXISTS', UNCONFIRMED) == 1 then
    for _, n_text in ipairs(call('ZRANGEBYSCORE', ACTIVE, '-inf', int(now))) do
      confirm(tonumber(n_text))
    end
  end
  s.freed = s.freed + call('ZREMRANGEBYSCORE', ACTIVE, '-inf', int(now))
  active = call('ZCARD', ACTIVE)
end

-- Forgets arrivals that have ended, and those over the bound.
local function end_arrivals()
  local over = max(call('LLEN', ARRIVALS) - MOST_ARRIVALS, 0)
  repeat
    local gone = {}
    for _, entry in ipairs(call('LRANGE', ARRIVALS, 0, 99)) do
      local id, ends = string.match(entry, '(%S+) (%S+)')
      if over == 0 and tonumber(ends) > now then
        break
      end
      over = max(over - 1, 0)
      gone[#gone + 1] = id
    end
    each('HDEL', ARRIVED, gone)
    call('LTRIM', ARRIVALS, #gone, -1)
  until #gone < 100
end

-- Free seats, lent or not; nil if the room counts none.
local function unseated()
  return enforced and seats and max(seats - taken(), 0) or nil
end

-- Free seats that are not lent, plus those that passes which never came back would lose.
local function free()
  if enforced and seats then
    local loose = call('ZCOUNT', UNCONFIRMED, '-inf', int(now - GRACE))
    return max(seats + loose - taken() - lent_seats(), 0)
  end
end

local function fill(share, held_back)
  local stands = waiting() > 0 or claimants > 0 or rounds.waiting() > 0
  local room = stands and min(burst, 1 + 0.1 * rate) or burst
  room = max(min(room, burst - held_back), 0)
  s.bucket = min(s.bucket + max(min(s.rate, rate) - share, 0) * elapsed / 1000, room)
  local most = visits.rate > 0 and max(burst * visits.rate / rate, 1) or 0
  s.visits = min(s.visits + visits.rate * elapsed / 1000, most)
end

local function whole_carry()
  local whole = floor(s.carry)
  s.carry = s.carry - whole
  return whole
end

-- Calls up to `most` waiting tickets, the earliest segment first; returns how many.
local function move_by(most)
  local left = most
  for _, segment in ipairs(segments) do
    local from = segment.serving
    segment.serving = from + min(waiting_in(segment), left)
    left = left - (segment.serving - from)
    calls(from, segment.serving)
  end
  return most - left
end

local function move(share)
  local seats_free = free()
  if waiting() > 0 then
    s.carry = s.carry + speed(seats_free, max(rate - share, 0)) * seconds
    moved(s.places_moved)
    s.places_moved = 0
    s.places_called = s.places_called + move_by(whole_carry())
  else
    s.speed = 0
    s.carry = s.carry + rate * seconds
    local spare = min(floor(burst), seats_free or math.huge)
    local last = current()
    last.serving = max(min(last.serving + whole_carry(), last.next + spare), last.serving)
  end
end

-- Shoppers let in before their time: policy/src/line/let_in.rs.
local credit = {}

local function debt()
  return max(-s.bucket, 0)
end

-- Tokens that are promised or spent before their time.
function credit.owed()
  return math.ceil(s.credit + debt())
end

function credit.call()
  local left = math.ceil(max(s.credit - claimants, 0) / show_share())
  for _, segment in ipairs(segments) do
    local called = min(waiting_in(segment), left)
    segment.serving, left = segment.serving + called, left - called
    s.places_called = s.places_called + called
  end
end

-- Takes an order, once.
function credit.order()
  local order = rules.let_in
  if not order or order.at <= s.ordered or utc >= order.at + 60000 or not open or not enforced then
    return
  end
  local shoppers = min(order.shoppers, waiting() + claimants, max(floor(rate_in_force * 60000 / 1000) - credit.owed(), 0))
  if s.credit_earlier == 0 then
    s.earlier_since = s.credit_since
  end
  s.credit_earlier = s.credit
  s.ordered, s.credit, s.credit_since = order.at, s.credit + shoppers, now
  credit.call()
end

-- Whether the pointer does nothing else.
function credit.lives()
  local age = max(now - s.credit_since, 0)
  if max(now - s.earlier_since, 0) >= 60000 then
    s.credit, s.credit_earlier = s.credit - s.credit_earlier, 0
  end
  if age >= 60000 then
    s.credit, s.credit_earlier = 0, 0
  end
  if s.credit > 0 and floor(age / 10000) > floor(max(age - elapsed, 0) / 10000) then
    credit.call()
  end
  return debt() > rate
end

-- Skips the numbers that a calm line has called in advance.
local function skip_lead()
  local last = current()
  local lead = max(last.serving - last.next, 0)
  if waiting() == 0 and last.serving < last.base + SPAN then
    last.next, s.skipped = last.next + lead, s.skipped + lead
  end
end

-- The line lives through some time.
local function live()
  settle()
  rate_changed(s.rate)
  expect_speed()
  end_windows()
  local share, held_back = aside()
  if open then
    fill(share, held_back)
    if credit.lives() then
      s.places_moved = 0
    else
      move(share)
    end
  else
    s.bucket, s.visits, s.credit, s.credit_earlier = min(s.bucket, 0), 0, 0, 0
    if rules.gathers then
      skip_lead()
    end
  end
  s.rate = rate
end

-- The time that no gateway lived through: made up for, or a standstill: policy/src/line/rest.rs.
local function wake()
  local idle = s.idle
  s.idle = 0
  if idle > 1000 then
    s.stood, s.easing, s.bucket, s.visits, s.speed = s.stood + idle, 15000, min(s.bucket, 0), 0, 0
  else
    elapsed = elapsed + idle
    s.easing = max(s.easing - elapsed, 0)
  end
  seconds = elapsed / 1000
end

local function ease()
  local part = 2 ^ min(floor((s.easing + 4999) / 5000), 3)
  rate, visits.rate = rate / part, visits.rate / part
end

local function advance()
  forget_claimants()
  end_passes()
  end_arrivals()
  resolve()
  freed(s.freed, taken())
  s.freed = 0
  advance_leases(elapsed, unseated())
  if shop_rests then
    s.idle = s.idle + elapsed
    if rate < s.rate then
      rate_changed(s.rate)
      s.rate = rate
    end
    s.bucket, s.visits = min(s.bucket, burst), min(s.visits, burst)
    ease()
    return
  end
  wake()
  ease()
  live()
end

-- Line: the batch ---------------------------------------------------------------------------------

local function release(n_text)
  local n = tonumber(n_text)
  local ends = call('ZSCORE', ACTIVE, n_text)
  if not ends and not has(n) then
    return
  end
  mark_claimed(n)
  drop_claimant(n_text)
  if ends then
    call('ZREM', ACTIVE, n_text)
    active = active - 1
    s.freed = s.freed + 1
    confirm(n)
    call('RPUSH', REVOKED, n_text .. ' ' .. ends)
  end
end

-- Ends a pass by the word of an operator, also one that the line does not know.
local function end_pass(n_text)
  local known = call('ZSCORE', ACTIVE, n_text)
  for _, entry in ipairs(call('LRANGE', REVOKED, 0, -1)) do
    local revoked, _, evicted = string.match(entry, '(%S+) (%S+) ?(%S*)')
    known = known or (revoked == n_text and evicted == '')
  end
  release(n_text)
  if not known and is_given_and_called(tonumber(n_text)) then
    call('RPUSH', REVOKED, n_text .. ' ' .. int(now + session))
  end
end

-- The latest end of a pass, by the earliest reported time of its giving.
local function latest_end(n_text, told)
  if not max_session then
    return math.huge
  end
  local admitted = min(tonumber(call('ZSCORE', ADMITTED, n_text) or now), told, now)
  call('ZADD', ADMITTED, int(admitted), n_text)
  return admitted + max_session
end

-- The new end of each pass, -1 where it had ended.
local function renew()
  local ends = {}
  if #renewals > 0 then
    call('ZREMRANGEBYSCORE', ADMITTED, '-inf', int(now - (max_session or 0)))
  end
  for i, renewal in ipairs(renewals) do
    local n_text, expires = renewal[1], -1
    local known = call('ZSCORE', ACTIVE, n_text)
    if known then
      expires = min(now + session, max(latest_end(n_text, renewal[2]), tonumber(known)))
      confirm(tonumber(n_text))
      call('ZADD', ACTIVE, int(expires), n_text)
    end
    ends[i] = expires
  end
  return ends
end

-- Gives `numbers` numbers; returns the first.
local function take(numbers)
  widen(numbers)
  local first = current().next + 1
  current().next = current().next + numbers
  if unlimited then
    for _, segment in ipairs(segments) do
      segment.serving = max(segment.serving, segment.next)
    end
  end
  expect_speed()
  return first
end

local function adopt(asked_for)
  local own_incarnation, first = int(asked_for.incarnation), asked_for.first
  for _, known in ipairs(call('LRANGE', ADOPTED, 0, -1)) do
    local incarnation, known_first, known_count = string.match(known, '(%S+) (%S+) (%S+)')
    if incarnation == own_incarnation then
      first = max(first, known_first + known_count)
    end
  end
  local count = asked_for.first + asked_for.count - first
  if count > 0 then
    local adopted = { own_incarnation, int(first), int(count), int(take(count)) }
    if asked_for.incarnation >= rounds.FIRST and count > 1 then
      adopted[5] = batch.seed
    end
    keep_adopted(table.concat(adopted, ' '))
  end
end

-- Whether a newcomer gets a place in a round.
function rounds.gathers()
  return rules.round and (rounds.waiting() > 0 or not open or waiting() >= rounds.SHORT * rate)
end

-- Gives `places` places in the round; returns the first.
function rounds.gather(places)
  if rounds.waiting() == 0 then
    s.round, s.gathered, s.drawn, s.round_began = max(rounds.id_at(now), s.round + 1), 0, 0, now
  end
  s.gathered = s.gathered + places
  return s.gathered - places + 1
end

-- Numbers those places of a round that have no number.
function rounds.number(round)
  if round.gathered > 0 then
    adopt({ incarnation = round.id, first = 1, count = round.gathered })
  end
end

-- Numbers the round, if it is over.
function rounds.draw()
  local lasted = max(now - s.round_began, 0)
  local over = not rules.round or lasted >= rules.round
  local dry = open and lasted >= rounds.LEAST and waiting() < rounds.DRY * rate
  local later = batch.adopt and batch.adopt.incarnation < rounds.FIRST
  if rounds.waiting() > 0 and (over or dry or later) then
    rounds.number({ id = s.round, gathered = s.gathered })
    s.drawn = s.gathered
  end
end

-- Numbers what was gathered before a loss.
function rounds.draw_lost()
  rounds.number(rounds.lost)
  local gathers = seen.round.id == s.round and rounds.waiting() > 0
  if seen.opened and seen.opened < current().base and not gathers then
    rounds.number(seen.round)
  end
end

local NOT_YET, SPENT = -1, -2
local grants = {} -- of each: number, the end of its pass or one of these, and when it was given
local function answer(n, grant, admitted)
  grants[#grants + 1] = { n, grant, admitted or 0 }
end

local before = {} -- texts of this gateway's claimants in its last batch, and whether they are in this one
local named, sorted = {}, true -- claimants in this batch: numbers
local come = {} -- new ones among them: texts

local function name(n, n_text)
  sorted = sorted and n > (named[#named] or 0)
  named[#named + 1] = n
  if before[n_text] == nil then
    come[#come + 1] = n_text
  end
  before[n_text] = true
end

local function claim()
  local last_named = call('ZSCORE', GATEWAYS, gateway)
  local last = call('ZRANGEBYSCORE', NAMED_BY, gateway, gateway)
  for _, n_text in ipairs(last) do
    before[n_text] = false
  end
  for _, arrival in ipairs(arrivals) do
    local place = call('HGET', ARRIVED, arrival.id)
    if place and not string.find(place, ' ') then
      claims[#claims + 1] = place
    end
  end
  for _, n_text in ipairs(claims) do
    local n = tonumber(n_text)
    local known = before[n_text]
    if not is_given_and_called(n) then
      answer(n_text, NOT_YET)
    elseif known == nil and is_claimed(n) then
      local ends = s.settling > 0 and NOT_YET or tonumber(call('ZSCORE', ACTIVE, n_text) or SPENT)
      local renewed = ends > 0 and max_session and call('ZSCORE', ADMITTED, n_text)
      answer(n_text, ends, min(tonumber(renewed or ends - session), now))
    elseif shop_rests then
      answer(n_text, NOT_YET)
    elseif not known then
      name(n, n_text)
      if known == nil and call('ZREM', GONE, n_text) == 0 and not call('ZSCORE', NAMED_BY, n_text) then
        claimants = claimants + 1
        shows(n, n_text)
      end
    end
  end
  local left = {}
  for _, n_text in ipairs(last) do
    if not before[n_text] then
      left[#left + 1] = n_text
    end
  end
  leave(left, last_named)
  call('ZADD', GATEWAYS, int(now), gateway)
end

-- Passes that the bucket and the seats allow now.
local function places()
  local tokens = unlimited and math.huge or s.settling > 0 and 0 or floor(max(s.bucket, 0)) + (open and s.credit or 0)
  return min(tokens, free() or math.huge)
end

-- Numbers that could be given and granted now.
local function spare()
  if unlimited then
    return math.huge
  end
  local called = rounds.waiting() > 0 and 0 or max(current().serving - current().next, 0)
  return min(called, max(places() - claimants, 0))
end

-- The ids of arrivals that get a place now, once each. `could`: numbers that could be granted now.
local function fresh(could)
  local ids, is_in = {}, {}
  for _, arrival in ipairs(arrivals) do
    local id, fits = arrival.id, not arrival.if_called or #ids < could
    if fits and not is_in[id] and call('HEXISTS', ARRIVED, id) == 0 then
      ids[#ids + 1], is_in[id] = id, true
    end
  end
  return ids
end

-- Gives these the numbers from the first on, or those places of a round.
local function trade(ids, round, first)
  local numbers, ends = {}, {}
  local of = round > 0 and int(round) .. ' ' or ''
  for i, id in ipairs(ids) do
    numbers[2 * i - 1], numbers[2 * i] = id, of .. int(first + i - 1)
    ends[i] = id .. ' ' .. int(now + ARRIVAL_LIFE)
  end
  each('HSET', ARRIVED, numbers)
  each('RPUSH', ARRIVALS, ends)
end

-- The number of each arrival, or "round sequence"; empty where it was turned away.
local function places_of_arrivals()
  local texts = {}
  for i, arrival in ipairs(arrivals) do
    texts[i] = call('HGET', ARRIVED, arrival.id) or ''
  end
  return texts
end

local function join()
  local could = spare()
  local ids = fresh(could)
  local joined_if_called = min(batch.joins_if_called, max(could - #ids, 0))
  local newcomers = #ids + joined_if_called + batch.joins
  local gathers = newcomers > 0 and rounds.gathers()
  local first = gathers and rounds.gather(newcomers) or take(newcomers)
  local round = gathers and s.round or 0
  trade(ids, round, first)
  for n = first, (shop_rests or gathers) and 0 or min(current().next, current().serving) do
    local n_text = int(n)
    name(n, n_text)
    claimants = claimants + 1
    shows(n, n_text)
  end
  return first + #ids, joined_if_called, round
end

local function spend()
  if enforced then
    if s.bucket < 1 then
      s.credit, s.credit_earlier = max(s.credit - 1, 0), max(s.credit_earlier - 1, 0)
    end
    s.bucket = s.bucket - 1
    return
  end
  if s.bucket < 1 or (seats and taken() >= seats) then
    s.over_limit = s.over_limit + 1
  end
  s.bucket = max(s.bucket - 1, min(s.bucket, 0))
end

local function arrive()
  local here, named_by = {}, {}
  for i, n_text in ipairs(come) do
    here[2 * i - 1], here[2 * i] = n_text, n_text
    named_by[2 * i - 1], named_by[2 * i] = gateway, n_text
  end
  each('ZADD', HERE, here)
  each('ZADD', NAMED_BY, named_by)
end

local function evict(n)
  local n_text, segment = int(n), segment_of(n)
  local ends = call('ZSCORE', ACTIVE, n_text)
  call('ZREM', ACTIVE, n_text)
  confirm(n)
  active = active - 1
  s.freed = s.freed + 1
  if segment then
    call('SETBIT', claims_of(segment), int(n - segment.base), 0)
  end
  call('RPUSH', REVOKED, n_text .. ' ' .. ends .. ' 1')
end

-- `passes` passes are about to be given: evicts loose ones where no seat is free.
local function free_seats(passes)
  if not (enforced and seats) or passes == 0 then
    return
  end
  local short = taken() + passes + lent_seats() - seats
  if short > 0 then
    local loose = { '-inf', int(now - GRACE), 'LIMIT', '0', int(short) }
    for _, wide_text in ipairs(call('ZRANGEBYSCORE', UNCONFIRMED, unpack(loose))) do
      evict(tonumber(wide_text))
    end
  end
end

-- Gives the free tokens to the lowest claimants who are here; another gateway's claimants keep theirs.
local function grant()
  if #named == 0 then
    return
  end
  arrive()
  if not sorted then
    table.sort(named)
  end
  local most = places()
  local out_of_reach = most < math.huge and call('ZRANGE', HERE, int(most), int(most))[1]
  local limit = tonumber(out_of_reach or math.huge)
  local ends = now + session
  local granted, passes, new = {}, {}, {}
  local most_granted = 0
  for _, n in ipairs(named) do
    most_granted = most_granted + (n < limit and 1 or 0)
  end
  free_seats(most_granted)
  for _, n in ipairs(named) do
    if n < limit then
      local n_text = int(n)
      spend()
      mark_claimed(n)
      passes[#passes + 1] = int(ends)
      passes[#passes + 1] = n_text
      granted[#granted + 1] = n_text
      new[#new + 1] = int(now)
      new[#new + 1] = wide(n)
      active = active + 1
      answer(n_text, ends, now)
    else
      answer(n, NOT_YET)
    end
  end
  each('ZREM', HERE, granted)
  each('ZREM', NAMED_BY, granted)
  each('ZADD', ACTIVE, passes)
  if enforced and seats then
    each('ZADD', UNCONFIRMED, new)
  end
  claimants = claimants - #granted
  s.granted = s.granted + #granted
end

-- The transition ----------------------------------------------------------------------------------

local function keep()
  local cohorts, counts, args = {}, {}, {}
  for _, cohort in ipairs(recent) do
    local cohort_text = { int(cohort.from), int(cohort.to), int(cohort.age), int(cohort.shown) }
    cohorts[#cohorts + 1] = table.concat(cohort_text, ' ')
  end
  for age = 1, AGES do
    counts[age] = real(came[age])
  end
  for _, field in ipairs(FIELDS) do
    args[#args + 1] = field
    args[#args + 1] = real(s[field])
  end
  local parts = {}
  for _, segment in ipairs(segments) do
    local stretch = { int(segment.base), int(segment.next), int(segment.serving), int(segment.slot) }
    parts[#parts + 1] = table.concat(stretch, ' ')
  end
  local lists = { 'came', table.concat(counts, ' '), 'recent', table.concat(cohorts, ' ') }
  call('HSET', LINE, 'segments', table.concat(parts, ' '), 'leases', told_leases(), 'caps', told_caps(), 'stock', told_stock(), lists[1], lists[2], lists[3], lists[4], unpack(args))
end

advance()
if not shop_rests then
  credit.order()
end
restore()
for _, n_text in ipairs(batch.confirmed) do
  confirm(tonumber(n_text))
end
for _, n_text in ipairs(batch.releases) do
  release(n_text)
end
for _, n_text in ipairs(batch.ends) do
  end_pass(n_text)
end
local renewed = renew()
rounds.draw_lost()
rounds.draw()
-- A gateway that has not heard of the round that gathers takes its places for lost ones.
if batch.adopt and not (batch.adopt.incarnation == s.round and rounds.waiting() > 0) then
  adopt(batch.adopt)
end
claim()
local first, joined_if_called, round = join()
grant()
if waiting() == 0 and claimants == 0 and rounds.waiting() == 0 and open and not unlimited and not shop_rests then
  visits.given = min(visits.asked, floor(s.visits), places(), floor(max(s.bucket, 0)))
  s.visits, s.bucket = s.visits - visits.given, s.bucket - visits.given
end
local lease = lends and lend(unseated()) or nil
do
  -- Places move up by the calls since the last transition, less the called places still shown. Of a line that has lost
  -- writes the shown places are unknown, but not below zero.
  local told, called = s.places_told, s.places_called
  s.places_told, s.places_called = min(entering(), told + called), 0
  if waiting() == 0 then
    s.places_told, s.places_moved = math.huge, 0
  elseif is_unsure() then
    s.places_told, s.places_moved = 0, s.places_moved + called
  elseif told < math.huge then
    s.places_moved = s.places_moved + told + called - s.places_told
  else
    s.places_moved = 0
  end
end
keep()

local revocations_seen = batch.revocations_seen
if seen.opened and seen.opened < current().base then
  revocations_seen = 0
end
local revoked = call('LRANGE', REVOKED, int(clamp(revocations_seen - s.revocations_forgotten, 0, 2 ^ 53)), -1)

local view = {
  segments = { before = { unpack(segments, 1, #segments - 1) }, open = current() },
  forgotten = s.forgotten,
  lost = s.lost,
  unsure = is_unsure(),
  now = now,
  utc = utc,
  rate = rate_in_force,
  capped_by = capped_by,
  stock = stock_now(),
  speed = mean_speed(),
  show_share = show_share(),
  settled = mean_speed() > 0 and s.known_for >= 10,
  bound = bound_for(show_share()),
  stay = mean_stay(),
  claimants = claimants,
  entering = entering(),
  told = min(entering(), s.places_told),
  owed = credit.owed(),
  active = taken(),
  granted = s.granted,
  no_shows = s.no_shows,
  over_limit = s.over_limit,
  second_passes = s.second_passes,
  gateways = #leases + unknown_lenders(),
  adopted = call('LRANGE', ADOPTED, 0, -1),
  round = { id = s.round, gathered = s.gathered, drawn = s.drawn, began = s.round_began },
  skipped = s.skipped,
}
return cmsgpack.pack({
  view = view,
  arrivals = places_of_arrivals(),
  round = round,
  first = first,
  joined_if_called = joined_if_called,
  visits = visits.given,
  grants = grants,
  renewed = renewed,
  revoked = revoked,
  revocations_seen = s.revocations_forgotten + call('LLEN', REVOKED),
  lease = lease,
})
