// Keys and values of earlier rows, per layer [capacity, G * K], keys already turned by RoPE.
// Only base rows are ever stored: slots of auxiliary rows are dropped, so one cache serves model and adapter.
// Refuses: growth past its capacity, cropping forwards.

using Ptp.Core.Tensors;

namespace Ptp.Core.Model;

/// <summary>The cache of one sequence (or, with regions chosen by the caller, of several).</summary>
public sealed class KvCache
{
    private readonly CachedKeys[] _layers;

    /// <summary>An empty cache of <paramref name="capacity"/> entries.</summary>
    public KvCache(IBackend backend, TransformerConfig config, int capacity)
    {
        Guard.Require(capacity > 0, "Make a key-value cache", $"{capacity} entries", "at least one",
            "Choose a capacity of prompt plus new tokens plus slots.");
        Capacity = capacity;
        _layers = new CachedKeys[config.Layers];
        for (var layer = 0; layer < config.Layers; layer++)
        {
            _layers[layer] = new CachedKeys(
                backend.Allocate(capacity, config.KeyValueWidth), backend.Allocate(capacity, config.KeyValueWidth));
        }
    }

    /// <summary>Entries it can hold.</summary>
    public int Capacity { get; }

    /// <summary>Entries in use, from the start.</summary>
    public int Length { get; private set; }

    /// <summary>Keys and values of a layer.</summary>
    public CachedKeys this[int layer] => _layers[layer];

    /// <summary>Counts <paramref name="entries"/> rows that a call has stored behind the old length.</summary>
    public void Append(int entries)
    {
        Guard.Require(entries >= 0 && Length + entries <= Capacity, "Append to the key-value cache",
            $"{entries} entries after {Length}", $"at most {Capacity} in all", "Make a larger cache.");
        Length += entries;
    }

    /// <summary>Forgets all entries from <paramref name="length"/> on.</summary>
    public void Crop(int length)
    {
        Guard.Require(length >= 0 && length <= Length, "Crop the key-value cache", $"length {length}",
            $"0 to {Length}", "Crop to a length that was reached before.");
        Length = length;
    }
}
