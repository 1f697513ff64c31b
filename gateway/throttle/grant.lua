-- Grants tokens of one tenant from all of its windows, or from none.
--
-- A counter that resets at fixed moments would admit twice the quota around each of them. Here every token has a date,
-- by which it will have been spent, and counts from the moment at which it may be spent until one whole window after
-- its date. So whichever token is spent last in a sliding window, all others counted when it was granted, and no
-- sliding window holds more than its quota, however many workers call. A worker reports what it has spent or will not
-- spend, and the date is corrected.
--
-- A window is stored as buckets of a grain each (window / GRAINS); a date is rounded up to the end of its bucket,
-- against the caller. Time is this server's own, so that the clocks of the workers do not matter.
--
-- KEYS     1: the tenant's state; 2 (when the API key has limits of its own): that key's state. Both have one hash tag.
-- ARGV[1]  JSON [[index in KEYS, grain, quota], ...], one entry a window; all times are in microseconds
-- ARGV[2]  JSON [urgent, extra, batch, need, ttl, worker, rate, births, reports, debts]
--            urgent   tokens that requests wait for
--            extra    tokens beyond them, ahead of need            batch    the most of them that may start at once
--            need     the smallest number of any use               ttl      from now to the date of what is granted
--            worker   id of the calling worker                     rate     requests a second that it sees
--            births   as in the last reply, or []
--            reports  [date, spent, count, ...]: tokens of that date were spent by `spent`, or are returned when it is 0
--            debts    [[age, count, ...], ...], a list a window: spent while this server was unreachable
-- ARGV[3]  if present, nothing is stored: the reply says what the call would be granted
-- Returns  [now, again, births, [from, count, ...], [remaining, ...], [reset, ...], enough]
--            again      from now until `need` more tokens are available, -1 for never
--            from       the moment from which these tokens may be spent, until now + ttl
--            remaining  of each window after the grant             reset    from now until a window has more again
--            enough     1 when the supply meets the demand of all workers, 0 when each gets its share

local GRAINS = 100
local GRID = 10000 -- microseconds: promised tokens begin at multiples of it
local STEPS = 25 -- of the grid, how far ahead tokens are promised
local ENOUGH = 0.95 -- of the supply by then: when all workers together need no more, no grant is deferred
local GREED = 3 -- times its share of the remainder that a worker may take, since the others have taken theirs
local AHEAD = 2 -- tokens by which promises may run ahead of the rate
local SLOW = 50 -- requests in the shortest window: a worker that sees fewer would hold a token for too long
local SLOW_FACTOR = 4 -- divides the share that such a worker may take ahead of need
local ACTIVE = 1000000 -- microseconds after a call for which a worker counts as one of those that share

local GRAIN, BASE, SUM, OLDEST, PROMISED, HEAD = 1, 2, 3, 4, 5, 5

local windows_requested = cjson.decode(ARGV[1])
local urgent, extra, batch, need, ttl, worker, rate, births, reports, debts = unpack(cjson.decode(ARGV[2]))

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- State of a key: {last moment seen, correction of the clock, birth, windows, workers}. A window: {grain, number of the
-- first bucket, sum of what counts, place of the oldest bucket that counts, {from, count, ...} of what was promised for
-- later, count of each bucket ...}. Workers: {id, rate, last call, ...}.
local states, last, correction = {}, 0, 0
for index, key in ipairs(KEYS) do
  local packed = redis.call('GET', key)
  local state = packed and cmsgpack.unpack(packed) or {0, 0, 0, {}, {}}
  states[index] = state
  last = math.max(last, state[1])
  correction = math.max(correction, state[2])
end
-- A clock that was set back must not date old spending into the future: the step is added to it from then on.
if now + correction < last then correction = last - now end
now = now + correction

local has_memory = true
for index, state in ipairs(states) do
  if state[3] == 0 then state[3] = now end
  has_memory = has_memory and births[index] == state[3]
  births[index] = state[3]
end

-- A bucket has the number of the grain that it ends with; the first one is right after the head.
local function place_of(series, moment)
  return math.ceil(moment / series[GRAIN]) - series[BASE] + HEAD + 1
end

local function leaves(series, place) -- when that bucket has left the window
  return (series[BASE] + place - HEAD - 1 + GRAINS) * series[GRAIN]
end

local function add(series, moment, count)
  local place = place_of(series, moment)
  if place < series[OLDEST] then return end -- no window holds it any more
  for gap = #series + 1, place do series[gap] = 0 end
  local changed = math.max(0, series[place] + count)
  series[SUM] = series[SUM] + changed - series[place]
  series[place] = changed
end

local function empty(grain)
  return {grain, math.floor(now / grain) - GRAINS + 1, 0, HEAD + 1, {}}
end

local function expire(series) -- drop what has left; the list itself is shortened only now and then, which is cheaper
  local oldest, promised = series[OLDEST], series[PROMISED]
  while promised[1] and promised[1] <= now do
    table.remove(promised, 1)
    table.remove(promised, 1)
  end
  while oldest <= #series and leaves(series, oldest) <= now do
    series[SUM] = series[SUM] - series[oldest]
    oldest = oldest + 1
  end
  if oldest > #series then return empty(series[GRAIN]) end
  series[OLDEST] = oldest
  if oldest <= GRAINS / 2 then return series end
  local short = {series[GRAIN], series[BASE] + oldest - HEAD - 1, series[SUM], HEAD + 1, promised}
  for place = oldest, #series do short[HEAD + 1 + place - oldest] = series[place] end
  return short
end

local function promise(series, begin, count) -- kept as {moment, count, ...} in order of moments
  local promised, at = series[PROMISED], 1
  while promised[at] and promised[at] < begin do at = at + 2 end
  if promised[at] == begin then
    promised[at + 1] = promised[at + 1] + count
  else
    table.insert(promised, at, begin)
    table.insert(promised, at + 1, count)
  end
end

-- The requested windows in the order requested; those of another plan stay in the state until they are empty.
local windows = {}
for number, requested in ipairs(windows_requested) do
  local kept, grain = states[requested[1]][4], requested[2]
  local found = #kept + 1
  for at, series in ipairs(kept) do
    if series[GRAIN] == grain then found = at end
  end
  kept[found] = kept[found] and expire(kept[found]) or empty(grain)
  windows[number] = {series = kept[found], quota = requested[3]}
end

for at = 1, #reports, 3 do
  for _, window in ipairs(windows) do
    -- After this server lost its memory there is nothing to subtract from; what was spent still counts.
    if has_memory then add(window.series, reports[at], -reports[at + 2]) end
    if reports[at + 1] > 0 then add(window.series, reports[at + 1], reports[at + 2]) end
  end
end
for number, window in ipairs(windows) do
  local owed = debts[number] or {}
  for at = 1, #owed, 2 do add(window.series, now - owed[at], owed[at + 1]) end
end

for _, window in ipairs(windows) do
  window.used, window.next = window.series[SUM], window.series[OLDEST]
  window.left = window.quota - window.used
end

-- What all windows allow at a moment if nothing more is granted before: later promises do not count yet. Moments must be
-- passed in order.
local function room_at(moment)
  local room = math.huge
  for _, window in ipairs(windows) do
    local series = window.series
    while window.next <= #series and leaves(series, window.next) <= moment do
      window.used = window.used - series[window.next]
      window.next = window.next + 1
    end
    local begun, promised = window.used, series[PROMISED]
    for at = #promised - 1, 1, -2 do
      if promised[at] <= moment then break end
      begun = begun - promised[at + 1]
    end
    room = math.min(room, window.quota - begun)
  end
  return room
end

local function next_change() -- when the next bucket that holds anything leaves its window; nil when all are empty
  local soonest
  for _, window in ipairs(windows) do
    local series = window.series
    while window.next <= #series and series[window.next] == 0 do window.next = window.next + 1 end
    if window.next <= #series then
      local moment = leaves(series, window.next)
      if not soonest or moment < soonest then soonest = moment end
    end
  end
  return soonest
end

-- The moments from which tokens may be granted, and how many in all by each, so that no later moment sees too many.
local moments, rooms = {[0] = now}, {}
for step = 1, STEPS do moments[step] = (math.floor(now / GRID) + step) * GRID end
for step = 0, STEPS do rooms[step] = room_at(moments[step]) end
local shortest = math.huge
local supply = math.huge -- what remains by the last of them, including what is promised already
for _, window in ipairs(windows) do
  local here = window.quota - window.used
  for at = 2, #window.series[PROMISED], 2 do here = here + window.series[PROMISED][at] end
  supply = math.min(supply, here)
  shortest = math.min(shortest, window.series[GRAIN] * GRAINS)
end
for step = STEPS - 1, 0, -1 do rooms[step] = math.min(rooms[step], rooms[step + 1]) end

local grants, given = {}, 0
local function give(step, count)
  if count <= 0 then return end
  given = given + count
  grants[#grants + 1] = moments[step]
  grants[#grants + 1] = count
  if step > 0 then
    for _, window in ipairs(windows) do promise(window.series, moments[step], count) end
  end
end

local function sharing() -- how many workers like this one share the windows, by the rates of all active ones
  local kept, all = {worker, rate, now}, rate
  local listed = states[1][5]
  for at = 1, #listed, 3 do
    if listed[at] ~= worker and listed[at + 2] > now - ACTIVE then
      all = all + listed[at + 1]
      for offset = 0, 2 do kept[#kept + 1] = listed[at + offset] end
    end
  end
  states[1][5] = kept
  return all / rate
end

if rooms[0] >= need then give(0, math.min(urgent, rooms[0])) end

-- Ahead of need: this worker's share of the remainder at once, the rest as its rate will need it. Where all workers need
-- more than the supply, nothing is granted long before it is needed: a token that one worker holds unspent is missing
-- at the others.
local enough, given_by = true, {}
for step = 0, STEPS do given_by[step] = given end
if extra > 0 then
  local part, flow = sharing(), rate * GRID / 1000000
  local allowed, greed = AHEAD, math.min(1, GREED / part)
  local slow = rate * shortest / 1000000 < SLOW
  enough = flow * STEPS * part <= supply * ENOUGH or slow
  if enough then
    local room = math.floor((rooms[0] - given) / part / (slow and SLOW_FACTOR or 1))
    local at_once = math.max(0, math.min(extra, batch, room))
    give(0, at_once)
    allowed = -at_once
  end
  for step = 0, slow and -1 or STEPS do
    local room = math.min(rooms[step], math.ceil(rooms[step] * greed)) - given
    local taken = math.max(0, math.min(room, urgent + extra - given, math.floor(allowed)))
    give(step, taken)
    given_by[step] = given
    allowed = math.min(allowed - taken, AHEAD) + flow
  end
end

local again -- as soon as there is room beyond what was just granted
if urgent + extra == 0 then again = now end
for step = STEPS, 0, -1 do
  rooms[step] = math.min(rooms[step] - given_by[step], rooms[step + 1] or math.huge)
  if rooms[step] >= need then again = moments[step] end
end
while not again do
  local moment = next_change()
  if not moment then break end
  if room_at(moment) - given >= need then again = moment end
end

for _, window in ipairs(windows) do add(window.series, now + ttl, given) end

local remaining, reset = {}, {}
for number, window in ipairs(windows) do
  local series = window.series
  local place = series[OLDEST]
  while place <= #series and series[place] == 0 do place = place + 1 end
  remaining[number] = math.max(0, window.left - given)
  reset[number] = place <= #series and leaves(series, place) - now or 0
end

for index, state in ipairs(states) do
  local kept, ends = {}, now
  for _, series in ipairs(state[4]) do
    local gone = leaves(series, #series)
    if series[SUM] > 0 and gone > now then
      kept[#kept + 1] = series
      ends = math.max(ends, gone)
    end
  end
  if #kept > 0 and not ARGV[3] then
    local packed = cmsgpack.pack({now, correction, state[3], kept, state[5]})
    redis.call('SET', KEYS[index], packed, 'PX', math.ceil((ends - now) / 1000) + 1000)
  end
end

return {now, again and again - now or -1, births, grants, remaining, reset, enough and 1 or 0}
