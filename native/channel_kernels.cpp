// Channels normalised where they lie side by side, in blocks, and the way back: each lane of a vector is a channel. Sums
// are of float64, as are differences from the mean. Compiled once for each set of instructions.
#include "vector_doubles.h"
#include "vector_kernels.h"

namespace foveate {
namespace {

// Calls work(constant, first channel) with as many halves of vectors as are computed together.
template <class Work>
inline void each_strip(const ChannelStrip& strip, const Work& work) {
  if (strip.channels % lanes == 0) {
    for (std::int64_t first = 0; first < strip.channels; first += lanes) work(std::integral_constant<int, 2>(), first);
  } else {
    for (std::int64_t first = 0; first < strip.channels; first += half) work(std::integral_constant<int, 1>(), first);
  }
}

// Two sums for each channel of what `terms` adds to them at a position; neighbours are summed apart, so that no sum waits
// for the one before.
template <int Parts, class Terms>
inline void summed(const ChannelStrip& strip, std::int64_t first, Sums* sums, const Terms& terms) {
  constexpr int apart = 4 / Parts;
  Doubles plain[apart][Parts] = {}, weighted[apart][Parts] = {};
  std::int64_t i = 0;
  for (; i + apart <= strip.positions; i += apart)
    unrolled<apart>([&](auto k) {
      unrolled<Parts>([&](auto part) {
        terms(part, (i + k) * strip.pitch + first + part * half, plain[k][part], weighted[k][part]);
      });
    });
  for (; i < strip.positions; ++i)
    unrolled<Parts>([&](auto part) {
      terms(part, i * strip.pitch + first + part * half, plain[0][part], weighted[0][part]);
    });
  for (int part = 0; part < Parts; ++part) {
    for (int k = 1; k < apart; ++k) {
      plain[0][part] += plain[k][part];
      weighted[0][part] += weighted[k][part];
    }
    for (int lane = 0; lane < half; ++lane)
      sums[first + part * half + lane] = {plain[0][part][lane], weighted[0][part][lane]};
  }
}

// Calls work(part, where) for each half of a vector at each position.
template <class Parts, class Work>
inline void each_position(const ChannelStrip& strip, Parts, std::int64_t first, const Work& work) {
  for (std::int64_t i = 0; i < strip.positions; ++i)
    unrolled<Parts::value>([&](auto part) { work(part, i * strip.pitch + first + part * half); });
}

// By what the channels in some halves of vectors are normalised.
template <int Count>
struct Channels {
  Doubles mean[Count], inverse[Count];
  Halves scale[Count], shift[Count];

  Channels(const ChannelScales& by, std::int64_t first) {
    for (int part = 0; part < Count; ++part) {
      const std::int64_t channel = first + part * half;
      mean[part] = load(by.mean + channel);
      inverse[part] = load(by.inverse + channel);
      scale[part] = *reinterpret_cast<const Halves*>(by.scale + channel);
      shift[part] = *reinterpret_cast<const Halves*>(by.shift + channel);
    }
  }
  Doubles normalized(int part, const float* x) const { return (wide(x) - mean[part]) * inverse[part]; }
  Halves output(int part, Doubles normalized) const {
    return __builtin_convertvector(normalized, Halves) * scale[part] + shift[part];
  }
  // dy, but 0 where a rectifier made 0 of the output.
  template <bool Rectified>
  Doubles gradient(int part, Doubles normalized, const float* dy) const {
    if constexpr (!Rectified) return wide(dy);
    const Halves passed = *reinterpret_cast<const Halves*>(dy);
    return __builtin_convertvector(output(part, normalized) > 0 ? passed : Halves{}, Doubles);
  }
};

}  // namespace

namespace FOVEATE_ISA {

void channel_moments(const ChannelStrip& strip, const float* x, Sums* sums) {
  each_strip(strip, [&](auto parts, std::int64_t first) {
    constexpr int count = decltype(parts)::value;
    Doubles shift[count];
    for (int part = 0; part < count; ++part) shift[part] = wide(x + first + part * half);
    summed<count>(strip, first, sums, [&](auto part, std::int64_t at, Doubles& plain, Doubles& squares) {
      const Doubles away = wide(x + at) - shift[part];
      plain += away;
      squares += away * away;
    });
  });
}

void normalize_channels(const ChannelStrip& strip, const ChannelScales& by, const float* x, float* y) {
  each_strip(strip, [&](auto parts, std::int64_t first) {
    const Channels<decltype(parts)::value> channels(by, first);
    if (by.rectified)
      each_position(strip, parts, first, [&](auto part, std::int64_t at) {
        const Halves value = channels.output(part, channels.normalized(part, x + at));
        *reinterpret_cast<Halves*>(y + at) = value <= 0 ? Halves{} : value;  // NaN passes
      });
    else
      each_position(strip, parts, first, [&](auto part, std::int64_t at) {
        *reinterpret_cast<Halves*>(y + at) = channels.output(part, channels.normalized(part, x + at));
      });
  });
}

void channel_gradient_sums(const ChannelStrip& strip, const ChannelScales& by, const float* x, const float* dy,
                           Sums* sums) {
  each_strip(strip, [&](auto parts, std::int64_t first) {
    constexpr int count = decltype(parts)::value;
    const Channels<count> channels(by, first);
    const auto sum = [&](auto rectified) {
      summed<count>(strip, first, sums, [&](auto part, std::int64_t at, Doubles& plain, Doubles& along) {
        const Doubles normalized = channels.normalized(part, x + at);
        const Doubles g = channels.template gradient<decltype(rectified)::value>(part, normalized, dy + at);
        plain += g;
        along += g * normalized;
      });
    };
    by.rectified ? sum(std::true_type()) : sum(std::false_type());
  });
}

void channel_gradients(const ChannelStrip& strip, const ChannelScales& by, const Sums* means, const float* x,
                       const float* dy, float* dx) {
  each_strip(strip, [&](auto parts, std::int64_t first) {
    constexpr int count = decltype(parts)::value;
    const Channels<count> channels(by, first);
    Doubles scale[count], level[count], slope[count];
    for (int part = 0; part < count; ++part) {
      const std::int64_t channel = first + part * half;
      scale[part] = wide(by.scale + channel);
      for (int lane = 0; lane < half; ++lane) {
        level[part][lane] = means[channel + lane].plain;
        slope[part][lane] = means[channel + lane].weighted;
      }
    }
    const auto write = [&](auto rectified) {
      each_position(strip, parts, first, [&](auto part, std::int64_t at) {
        const Doubles normalized = channels.normalized(part, x + at);
        const Doubles g = channels.template gradient<decltype(rectified)::value>(part, normalized, dy + at);
        store(dx + at, (g * scale[part] - level[part] - normalized * slope[part]) * channels.inverse[part]);
      });
    };
    by.rectified ? write(std::true_type()) : write(std::false_type());
  });
}

}  // namespace FOVEATE_ISA
}  // namespace foveate
