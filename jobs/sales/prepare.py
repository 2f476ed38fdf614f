"""Made this folder's data, from a seed: weekly sales of four shops and six products, a file a quarter.

    python jobs/sales/prepare.py

Not every shop sells every product. What is sold follows truth.json's linear model of price, promotion and holidays, and
noise.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
SHOPS = ["harbour", "market", "station", "university"]
PRODUCTS = ["apples", "bread", "coffee", "milk", "rice", "tea"]
NOISE = 2.0  # pieces a week


def main() -> None:
    rng = np.random.default_rng(7)
    weeks = pd.date_range("2023-01-02", periods=52, freq="W-MON").strftime("%Y-%m-%d")
    holiday = np.isin(np.arange(52), [0, 14, 22, 50, 51])
    tables, truth = [], {}
    for shop in SHOPS:
        for product in PRODUCTS:
            if rng.random() < 0.15:
                continue
            base, by_price, by_promotion, by_holiday = rng.uniform([80, -12, 10, -20], [200, -4, 40, 30]).round(2)
            price = rng.uniform(1, 8, 52).round(2)
            promotion = rng.random(52) < 0.2
            sold = base + by_price * price + by_promotion * promotion + by_holiday * holiday + rng.normal(0, NOISE, 52)
            truth[f"{shop}-{product}"] = [base, by_price, by_promotion, by_holiday]
            tables.append(
                pd.DataFrame(
                    {
                        "week": weeks,
                        "shop": shop,
                        "product": product,
                        "price": price,
                        "promotion": promotion.astype(int),
                        "holiday": holiday.astype(int),
                        "sold": sold.clip(0).round().astype(int),
                    }
                )
            )
    rows = pd.concat(tables).sort_values(["week", "shop", "product"])
    (HERE / "data").mkdir(exist_ok=True)
    for quarter, part in rows.groupby(pd.to_datetime(rows["week"]).dt.quarter):
        part.to_csv(HERE / "data" / f"2023-q{quarter}.csv", index=False)
    (HERE / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
