-- The stamps of the last `limit` admissions in a ring: behind the index of the oldest, how many
-- were busy at last and the newest stamp, cells of 8 bytes, the oldest to be taken next. A cell
-- beyond the end of the string was never taken. Stamps in one cell lie at least a window apart,
-- so that no window holds two of it.
algorithms["sliding-log"] = function(key, limit, window)
  local head, whole = 24, 1024
  -- A short ring is read at once, of a long one the cells that are asked for and some behind them.
  local page_from, page_end = 0, limit * 8 < whole and whole or head
  -- Constants are texts: a number is written out as a float for each call.
  local page = redis.call("GETRANGE", key, "0", page_end == head and "23" or "1023")
  local oldest, busy, newest = 0, 0, 0
  if page ~= "" then oldest, busy, newest = struct.unpack(">I8I8I8", page) end
  local free = limit

  -- When the i-th oldest cell is free, i from 0.
  local function free_at(i)
    local start = head + (oldest + i) % limit * 8
    if start < page_from or start >= page_end then
      page_from, page_end = start, start + 64
      page = redis.call("GETRANGE", key, page_from, page_end - 1)
    end
    if start - page_from >= #page then return 0 end
    return (struct.unpack(">I8", page, start - page_from + 1)) + window
  end

  -- Cells get free in the order in which they were taken, so those that were free still are:
  -- the first that is not, in steps that double from there, then halve.
  local function count_free(now)
    if newest + window <= now then return limit end
    local low, step = limit - busy, 1
    while low + step < limit and free_at(low + step - 1) <= now do
      low, step = low + step, 2 * step
    end
    local high = math.min(low + step, limit) - 1
    while low < high do
      local middle = math.floor((low + high) / 2)
      if free_at(middle) <= now then low = middle + 1 else high = middle end
    end
    return low
  end

  local function judge(now)
    free = count_free(now)
    local cost_at = free < cost and free_at(cost - 1) or 0
    return free, cost_at, free < limit and newest + window or 0
  end

  local function take(now)
    local stamp = struct.pack(">I8", now)
    local run = math.min(cost, limit - oldest)
    redis.call("SETRANGE", key, head + oldest * 8, string.rep(stamp, run))
    if run < cost then redis.call("SETRANGE", key, head, string.rep(stamp, cost - run)) end
    local next_oldest, next_busy = (oldest + cost) % limit, limit - free + cost
    redis.call("SETRANGE", key, "0", struct.pack(">I8I8I8", next_oldest, next_busy, now))
    redis.call("PEXPIRE", key, ttl_ms(now + window))
    return now + window
  end

  return newest, judge, take
end
