-- Repair ------------------------------------------------------------------------------------------

local function free_slot()
  local used = {}
  for _, segment in ipairs(segments) do
    used[segment.slot] = true
  end
  for slot = 0, MOST - 1 do
    if not used[slot] then
      return slot
    end
  end
end

-- The oldest segment without waiters, except the last and that of given places: its index.
local function done()
  for i = 1, #segments - 1 do
    if waiting_in(segments[i]) == 0 and segments[i].base ~= GIVEN then
      return i
    end
  end
end

local function has_room()
  return #segments < MOST or done() ~= nil
end

local function make_room()
  if #segments == MOST then
    local gone = table.remove(segments, done())
    s.forgotten = max(s.forgotten, gone.base + SPAN)
    call('DEL', claims_of(gone))
  end
end

-- Numbers are given in this segment from now on.
local function follow_with(segment)
  if current().next == current().base then
    table.remove(segments)
  end
  segment.slot = free_slot()
  segments[#segments + 1] = segment
end

local function insert(segment)
  segment.slot = free_slot()
  local at = 1
  while segments[at].base < segment.base do
    at = at + 1
  end
  table.insert(segments, at, segment)
end

local function open_segment(beyond)
  local base = max(base_at(s.now), max(current().base, beyond) + SPAN)
  local replaces, room = current().next == current().base, has_room()
  if not replaces and room then
    make_room()
  end
  if replaces or room then
    follow_with({ base = base, next = base, serving = base })
  end
end

-- Opens the next segment if this one has fewer numbers left than `numbers`.
local function widen(numbers)
  if current().next - current().base + numbers >= SPAN then
    open_segment(0)
    s.remembered = ALL
  end
end

local function has_lost()
  local last = current()
  local round = seen.round
  local later = round.id > s.round or (round.id == s.round and round.gathered > s.gathered)
  local lost = s.server ~= server or (seen.opened == last.base and (seen.granted > s.granted or later))
  for _, known in ipairs(seen.segments) do
    lost = lost or (known.base > last.base and has_room())
    local further = known.next > last.next or (known.serving > last.serving and not lends)
    lost = lost or (known.base == last.base and further)
  end
  return lost
end

-- Takes in the known counters of one segment, from a gateway that knows of no other line or may do.
local function learn(known, up_to_date)
  for _, segment in ipairs(segments) do
    if segment.base == known.base then
      if (known.next > segment.next or known.serving > segment.serving) and segment ~= current() and known.base ~= GIVEN then
        s.sure = now + UNSURE
      end
      segment.next, segment.serving = max(segment.next, known.next), max(segment.serving, known.serving)
      return
    end
  end
  local forgotten = known.base < s.forgotten and known.base ~= GIVEN
  if known.next == known.base or forgotten or not has_room() then
    return
  end
  make_room()
  if known.base > current().base then
    follow_with(known)
  else
    insert(known)
  end
  if known.base ~= GIVEN or not up_to_date then
    s.lost, s.sure, s.settling = now, now + UNSURE, SETTLE
  end
end

local MOST_ADOPTED = 512

local function keep_adopted(adopted)
  call('RPUSH', ADOPTED, adopted)
  call('LTRIM', ADOPTED, -MOST_ADOPTED, -1)
end

local function learn_adopted()
  if #seen.adopted == 0 then
    return
  end
  local function base(adopted)
    return tonumber(string.match(adopted, '^%S+ %S+ %S+ (%S+)'))
  end
  local list, known = call('LRANGE', ADOPTED, 0, -1), {}
  for _, adopted in ipairs(list) do
    known[adopted] = true
  end
  for _, adopted in ipairs(seen.adopted) do
    local full = #list >= MOST_ADOPTED
    if not known[adopted] and not (full and base(adopted) < base(list[1])) then
      keep_adopted(adopted)
      known[adopted] = true
      list[#list + 1] = adopted
      while #list > MOST_ADOPTED do
        known[table.remove(list, 1)] = nil
      end
    end
  end
end

local function begin_anew(furthest)
  open_segment(furthest)
  rounds.lose(seen.round.id)
  s.bucket, s.visits, s.lost, s.settling, s.idle = 0, 0, now, SETTLE, 0
  s.ordered, s.credit, s.credit_earlier = max(s.ordered, utc), 0, 0
  lose_leases()
  s.sure = max(s.sure, now + UNSURE)
  s.remembered = call('ZCARD', ACTIVE) + s.missing
end

local function repair()
  local lost, before = has_lost(), current().base
  local known = max(s.now, seen.now)
  if lost then
    s.skew = max(known - now, 0)
  elseif seen.now > s.now then
    s.skew = max(s.skew, seen.now - now)
  end
  now = max(known, now + s.skew)
  s.now, s.server = lost and now or known, server
  local furthest = 0
  for _, known in ipairs(seen.segments) do
    furthest = max(furthest, known.base)
  end
  for _, known in ipairs(seen.segments) do
    learn(known, seen.opened == before)
  end
  s.granted = max(s.granted, seen.granted)
  learn_adopted()
  if lost then
    begin_anew(furthest)
  end
  if lost or (seen.opened and seen.opened < before) then
    if seen.active > s.remembered then
      s.missing = s.missing + seen.active - s.remembered
      s.remembered, s.missing_until = seen.active, now + session
    end
    s.lenders_before = max(s.lenders_before, seen.gateways)
    s.bucket = min(s.bucket, -seen.owed)
  end
  -- People of an earlier line are here, and no gateway here knows it.
  local earlier = #segments - (segments[1].base == GIVEN and 2 or 1)
  if lends and earlier > 0 and s.lenders_unknown_for > 0 and s.lenders_before == 0 then
    s.lenders_before = s.lenders_told + 1
  end
end

repair()
hear_shop()
local rate_in_force = rate -- before a line that has stood begins slowly
hear_of_lease()
local elapsed = min(now - s.now, 1000)
local seconds = elapsed / 1000
s.now = now

local function resolve()
  s.settling = max(s.settling - min(elapsed, SETTLE_STEP), 0)
  if now >= s.missing_until then
    s.missing = 0
  end
end

local function drop_claimant(n_text)
  claimants = claimants - call('ZREM', NAMED_BY, n_text) - call('ZREM', GONE, n_text)
  call('ZREM', HERE, n_text)
end

local function restore_pass(n_text, ends, revoked)
  local n = tonumber(n_text)
  local known = call('ZSCORE', ACTIVE, n_text)
  if ends <= now or ends <= (revoked[n_text] or 0) or not is_given_and_called(n) or (known and tonumber(known) >= ends) then
    return
  end
  if not known then
    s.missing = max(s.missing - 1, 0)
    active = active + 1
  end
  drop_claimant(n_text)
  mark_claimed(n)
  call('ZADD', ACTIVE, int(ends), n_text)
end

local function restore_revocation(n_text, ends, revoked)
  local n = tonumber(n_text)
  if ends <= now or revoked[n_text] == math.huge or not is_given_and_called(n) then
    return
  end
  drop_claimant(n_text)
  mark_claimed(n)
  confirm(n)
  local ended = call('ZREM', ACTIVE, n_text)
  active, s.freed = active - ended, s.freed + ended
  call('RPUSH', REVOKED, n_text .. ' ' .. int(ends))
  revoked[n_text] = math.huge
end

local function restore_lent(n_text, ends, revoked)
  local n = tonumber(n_text)
  local known = tonumber(call('ZSCORE', ACTIVE, n_text) or '')
  if known == ends or not is_given_and_called(n) or ends <= (revoked[n_text] or 0) then
    return
  end
  s.granted = s.granted + 1
  s.second_passes = s.second_passes + (is_claimed(n) and 1 or 0)
  if not known then
    s.missing = max(s.missing - 1, 0)
  end
  drop_claimant(n_text)
  mark_claimed(n)
  if ends > now and (not known or known < ends) then
    active = active + (known and 0 or 1)
    call('ZADD', ACTIVE, int(ends), n_text)
  end
end

local function restore_claims(chunk)
  local first, bits = chunk.first, chunk.bits
  local segment = segment_of(first + 1)
  if not segment or base_of(first + 8 * max(#bits - 1, 0)) ~= segment.base then
    return
  end
  local key, from, merged = claims_of(segment), (first - segment.base) / 8, {}
  local kept = call('GETRANGE', key, int(from), int(from + #bits - 1))
  for i = 1, #bits do
    merged[i] = string.char(bit.bor(bits[i], string.byte(kept, i) or 0))
  end
  call('SETRANGE', key, int(from), table.concat(merged))
end

-- Earlier places are coming back, or may be.
local function is_unsure()
  return now < s.sure or unknown_lenders() > 0
end

local function restore()
  if restored.more and s.settling > 0 then
    s.settling = max(s.settling, SETTLE_MORE)
  end
  local revoked = {} -- by number: passes up to this end are void
  if #restored.passes + #restored.revoked + #restored.lent > 0 then
    for _, entry in ipairs(call('LRANGE', REVOKED, 0, -1)) do
      local n_text, ends, evicted = string.match(entry, '(%S+) (%S+) ?(%S*)')
      revoked[n_text] = max(revoked[n_text] or 0, evicted == '' and math.huge or tonumber(ends))
    end
  end
  for _, pass in ipairs(restored.passes) do
    restore_pass(pass[1], pass[2], revoked)
  end
  for _, pass in ipairs(restored.revoked) do
    restore_revocation(pass[1], pass[2], revoked)
  end
  for _, chunk in ipairs(restored.claimed) do
    restore_claims(chunk)
  end
  for _, pass in ipairs(restored.lent) do
    restore_lent(pass[1], pass[2], revoked)
  end
  if #restored.claimed > 0 then
    for _, key in ipairs({ NAMED_BY, GONE }) do
      for _, n_text in ipairs(call('ZRANGE', key, 0, -1)) do
        if is_claimed(tonumber(n_text)) then
          drop_claimant(n_text)
        end
      end
    end
  end
end

