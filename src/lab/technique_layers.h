// The techniques in single layers with made-up weights: on GPUs, where a layer is a captured graph,
// and on the CPU where asked for.
#pragma once

#include "base/log.h"
#include "comm/control/control_plane.h"
#include "lab/technique_row.h"

namespace braid::lab {

struct LayerTechniqueSetting {
  LayerShapes shapes;
  LayerFacts facts;
  int64_t rounds = 0;
  int64_t inputs = 0;  // that results are compared on
  LayerPairsOptions pairs;
  uint64_t seed = 0;
};

struct LayerTechniqueRows {
  std::string device_name;
  std::vector<TechniqueRow> rows;
  std::vector<LeftOut> left_out;
};

// One process's part of the comparison: all ranks on the CPU, one of them on GPUs. All ranks call
// it together and get the same rows; one that fails lets the others fail.
Result<LayerTechniqueRows> compare_layers(const LayerTechniqueSetting& setting,
                                          comm::ControlPlane& control, Console& console);

}  // namespace braid::lab
