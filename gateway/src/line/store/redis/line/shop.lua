-- The shop's words: caps on the rate, and the stock -------------------------------------------------

-- Called by other parts. The rest is in a block: a script has 200 local names at most.
local hear_shop, stock_now, told_caps, told_stock
local capped_by -- the kind of the cap that binds
do

local MOST_CAPS, MOST_PRODUCTS, IDS = 64, 256, 2 ^ 32
local AVAILABLE, PAUSED, IN_CHECKOUT, SOLD_OUT = 0, 1, 2, 3

-- The index of the entry with this key in an ordered list, and whether it is there.
local function find(list, key)
  for i, entry in ipairs(list) do
    if entry.key >= key then
      return i, entry.key == key
    end
  end
  return #list + 1, false
end

local function put(list, entry)
  local i, known = find(list, entry.key)
  if known then
    list[i] = entry
  else
    table.insert(list, i, entry)
  end
end

local function hear_cap(cap)
  local i, known = find(caps, cap.source)
  if cap.ttl > 0 then
    put(caps, { key = cap.source, rate = cap.rate, ends = now + cap.ttl })
  elseif known then
    caps[i].ends = min(caps[i].ends, now)
  end
  if #caps > MOST_CAPS then
    local highest = 1
    for at = 2, #caps do
      highest = caps[at].rate >= caps[highest].rate and at or highest
    end
    table.remove(caps, highest)
  end
end

local function hear_level(level)
  local i, known = find(stock, level.sku)
  local before, said = known and stock[i], max(now - level.age, 0)
  if (not known and #stock >= MOST_PRODUCTS) or (known and before.said > said) then
    return
  end
  if #stock == 0 then
    s.sold, s.granted_before = 0, s.granted
  end
  local same = known and before.left == level.left and before.held == level.held
  local since = level.sure and 0 or same and before.since or said
  s.sold = s.sold + (known and max(before.left - level.left, 0) or 0)
  put(stock, { key = level.sku, left = level.left, held = level.held, since = since, said = said })
end

-- All products together; nil: the shop says nothing of them.
function stock_now()
  if #stock == 0 then
    return nil
  end
  local left, held, since, state = 0, 0, 0, SOLD_OUT
  for _, level in ipairs(stock) do
    left, held, since = left + level.left, held + level.held, max(since, level.since)
  end
  if left > 0 then
    state = AVAILABLE
  elseif held > 0 then
    state = IN_CHECKOUT
  elseif now < since + 5000 then
    state = PAUSED
  end
  local units = (s.sold + 1 * 20) / (max(s.granted - s.granted_before, 0) + 20)
  return { state = state, left = left, held = held, units = units }
end

-- From here on the rules are those that the shop's words allow.
function hear_shop()
  for _, cap in ipairs(batch.caps) do
    hear_cap(cap)
  end
  local ceiling, lowest, kind, kept = rate, math.huge, nil, {}
  for _, cap in ipairs(caps) do
    local at_now = cap.rate + 0.1 * ceiling * max(now - cap.ends, 0) / 1000
    if cap.ends > now or at_now < ceiling then
      kept[#kept + 1] = cap
      if at_now < lowest then
        lowest, kind = at_now, floor(cap.key / IDS)
      end
    end
  end
  caps = kept
  rate = min(max(lowest, rules.floor), ceiling)
  capped_by = rate < ceiling and kind or nil
  local share = rate / ceiling
  visits.rate, burst = visits.rate * share, max(burst * share, 1)
  for _, level in ipairs(batch.stock) do
    hear_level(level)
  end
  local now_left = stock_now()
  open = open and not (enforced and now_left and now_left.state ~= AVAILABLE)
  unlimited = open and not enforced
end

function told_caps()
  local parts = {}
  for i, cap in ipairs(caps) do
    parts[i] = int(cap.key) .. ' ' .. real(cap.rate) .. ' ' .. int(cap.ends)
  end
  return table.concat(parts, ' ')
end

function told_stock()
  local parts = {}
  for i, level in ipairs(stock) do
    local counts = int(level.key) .. ' ' .. int(level.left) .. ' ' .. int(level.held)
    parts[i] = counts .. ' ' .. int(level.since) .. ' ' .. int(level.said)
  end
  return table.concat(parts, ' ')
end

end

